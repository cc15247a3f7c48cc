"""A SQLite file that was set up for it shrinks when groups are archived."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from tests.support.archives import archive, stop
from tests.support.audit_ledgers import random_ledgers, write
from tests.support.tampering import rows_of


def _pages(engine: Engine, name: str) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text(f"PRAGMA {name}")) or 0)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("incremental", [True, False])
def test_a_file_shrinks_if_it_can(engine: Engine, tmp_path: Path, incremental: bool) -> None:
    if incremental:
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.execute("PRAGMA auto_vacuum = INCREMENTAL")
            driver.execute("VACUUM")
    write(engine, random_ledgers(1, 3, 300, oddity=0.0, trouble=0.0))
    for row in rows_of(engine)["watches"]:
        stop(engine, row.taskgroup_id, 2 * 10**6)
    before = _pages(engine, "page_count")
    archive(engine, tmp_path / "old.zst", before=10**7)
    shrunk = _pages(engine, "page_count") < before / 2
    assert (shrunk, _pages(engine, "freelist_count") == 0) == (incremental, incremental)
