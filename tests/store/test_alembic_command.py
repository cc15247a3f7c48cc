"""The `alembic` command in a clone, on both databases."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, func, inspect, select, text

from recorder.store.schema import downgrade, state_of
from recorder.store.schema_diff import differences
from recorder.store.tables import episodes, summaries
from recorder.store.transactions import reading, writing
from tests.support.program import Result, require_clean
from tests.support.store_samples import body, enrol, poll, seen

CLONE = Path(__file__).parents[2]
HEAD = "0003"


def alembic(folder: Path, *arguments: str, **settings: str) -> Result:
    """Run the command in a working folder with nothing but `settings`."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith("RECORDER_")}
    process = subprocess.run(
        [str(Path(sys.executable).with_name("alembic")), *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**outer, **settings},
        timeout=120,
    )
    return Result(process.returncode, require_clean(process.stdout), require_clean(process.stderr))


def ok(result: Result) -> str:
    assert result.status == 0, result
    return result.out


def refusal(result: Result) -> str:
    """Return the one line that the command prints when it fails."""
    failed = [line for line in result.out.splitlines() if line.startswith("FAILED: ")]
    assert result.status != 0 and len(failed) == 1, result
    return failed[0]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A working folder outside the clone."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


def test_from_another_folder_with_the_settings_in_env(
    elsewhere: Path, blank_engine: Engine, blank_database_url: str
) -> None:
    url = blank_database_url
    if blank_engine.dialect.name == "sqlite":
        url = f"sqlite:///../{blank_engine.url.database.rpartition('/')[2]}"  # type: ignore[union-attr]
    elsewhere.joinpath(".env").write_text(f"RECORDER_DATABASE_URL={url}\nRECORDER_RATE=fast\n")

    def run(*arguments: str) -> str:
        return ok(alembic(elsewhere, "-c", str(CLONE / "alembic.ini"), *arguments))

    run("upgrade", "head")
    assert state_of(blank_engine).at_head
    assert run("current") == f"{HEAD} (head)\n"
    assert "No new upgrade operations detected" in run("check")
    run("downgrade", "-1")
    assert state_of(blank_engine).current == "0002"
    assert run("history").startswith(f"0002 -> {HEAD} (head), ")


def test_an_upgrade_fills_the_derived_tables(engine: Engine, database_url: str) -> None:
    enrol(engine, "tgrp_1")
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1), 1))

    def count_derived() -> list[int]:
        with reading(engine) as connection:
            counts = (select(func.count()).select_from(table) for table in (summaries, episodes))
            return [connection.scalar(count) or 0 for count in counts]

    downgrade(engine, "0001", discard_ledger=False)
    ok(alembic(CLONE, "upgrade", "head", RECORDER_DATABASE_URL=database_url))
    assert count_derived() == [1, 1]
    with writing(engine) as connection:
        connection.execute(summaries.update().values(rules=0, seq=99))
    ok(alembic(CLONE, "check", RECORDER_DATABASE_URL=database_url))
    with reading(engine) as connection:
        assert connection.scalar(select(summaries.c.seq)) == 99
    ok(alembic(CLONE, "upgrade", "head", RECORDER_DATABASE_URL=database_url))
    with reading(engine) as connection:
        assert connection.scalar(select(summaries.c.seq)) == 2


def test_a_ledger_with_entries_is_dropped_only_on_request(engine: Engine, database_url: str) -> None:
    enrol(engine, "tgrp_1")
    refused = alembic(CLONE, "downgrade", "base", RECORDER_DATABASE_URL=database_url)
    assert "1 entry" in refusal(refused) and "-x discard_ledger=yes" in refusal(refused)
    assert state_of(engine).at_head
    no = ("-x", "discard_ledger=no", "downgrade", "base")
    assert "1 entry" in refusal(alembic(CLONE, *no, RECORDER_DATABASE_URL=database_url))
    yes = ("-x", "discard_ledger=yes", "downgrade", "base")
    ok(alembic(CLONE, *yes, RECORDER_DATABASE_URL=database_url))
    assert set(inspect(engine).get_table_names()) == {"alembic_version"}


def test_views_of_others_in_the_way_are_named(engine: Engine, database_url: str) -> None:
    with writing(engine) as connection:
        connection.execute(text("CREATE VIEW mine AS SELECT * FROM group_completion"))
    assert "mine" in refusal(alembic(CLONE, "downgrade", "-1", RECORDER_DATABASE_URL=database_url))
    assert state_of(engine).at_head


def test_the_script_of_an_upgrade_creates_the_schema(blank_engine: Engine, blank_database_url: str) -> None:
    script = ok(alembic(CLONE, "upgrade", "head", "--sql", RECORDER_DATABASE_URL=blank_database_url))
    if blank_engine.dialect.name == "sqlite":
        with sqlite3.connect(str(blank_engine.url.database)) as connection:
            connection.executescript(script)
        connection.close()
    else:
        with psycopg.connect(blank_database_url, autocommit=True) as server:
            server.execute(script.encode())
    assert state_of(blank_engine).at_head
    assert differences(blank_engine) == []


def test_a_generated_revision_imports_nothing_of_the_recorder(
    tmp_path: Path, engine: Engine, database_url: str
) -> None:
    copy = tmp_path / "clone"
    for name in ("migrations", "recorder"):
        shutil.copytree(CLONE / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CLONE / "alembic.ini", copy)
    with (copy / "recorder/store/tables.py").open("a") as tables:
        tables.write(
            'notes = Table("notes", metadata, Column("taskgroup_id", Id, primary_key=True),\n'
            '    Column("written_at", Time, index=True), sqlite_with_rowid=False)\n'
            'watches.append_column(Column("seen_by", Time))\n'
        )
    settings = {"RECORDER_DATABASE_URL": database_url}
    assert "New upgrade operations detected" in refusal(alembic(copy, "check", **settings))
    ok(alembic(copy, "revision", "--autogenerate", "-m", "add notes", **settings))
    revision = (copy / "migrations/versions/0004_add_notes.py").read_text()
    assert set(re.findall(r"^(?:from|import) .*", revision, re.MULTILINE)) == {
        "from __future__ import annotations",
        "import sqlalchemy as sa",
        "from alembic import op",
    }
    assert "recorder" not in revision and "drop" not in revision.partition("def downgrade")[0]
    ok(alembic(copy, "upgrade", "head", **settings))
    assert "No new upgrade operations detected" in ok(alembic(copy, "check", **settings))
    assert {"notes", "watches"} < set(inspect(engine).get_table_names())


def test_what_cannot_be_done_is_reported_in_one_line(elsewhere: Path) -> None:
    ini = ("-c", str(CLONE / "alembic.ini"))
    assert "RECORDER_DATABASE_URL" in refusal(
        alembic(elsewhere, *ini, "current", RECORDER_DATABASE_URL="oracle://there")
    )
    assert "no database at sqlite:///recorder.db" in refusal(alembic(elsewhere, *ini, "current"))
    assert "script" in refusal(alembic(elsewhere, *ini, "downgrade", "0003:0002", "--sql"))
    assert list(elsewhere.iterdir()) == []
    elsewhere.joinpath("recorder.db").write_text("Dear diary,\n" * 100)
    assert "cannot be used" in refusal(alembic(elsewhere, *ini, "upgrade", "head"))
    elsewhere.joinpath("recorder.db").unlink()
    with sqlite3.connect(elsewhere / "recorder.db") as connection:
        connection.execute("CREATE TABLE invoices (number INTEGER)")
    connection.close()
    assert "not the recorder's" in refusal(alembic(elsewhere, *ini, "upgrade", "head"))
