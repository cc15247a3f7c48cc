"""Backups made with the databases' own tools: restored, checked, and recorded into again."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Engine, text

from api.app import create_app
from recorder.store.engine import check_url, open_engine
from recorder.store.events import publish_events
from recorder.store.repair import repair_schema
from recorder.store.schema_diff import differences
from recorder.store.transactions import reading, writing
from tests.support.api_client import Client
from tests.support.databases import postgres_database, upgrade_database
from tests.support.postgres import archiving_postgres, backed_up, binaries
from tests.support.program import wait_until
from tests.support.recording import Recording, active, after, settled
from tests.support.tampering import LABELS, brief, findings, heads_of, record, rows_of

ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
ON_A_FILE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ONE_ROW_TABLES = ("alembic_version", "archive_turns", "delivery_lease", "published_events", "upstream_state")
"""What a fresh database has rows in."""


def _run(*command: str) -> None:
    program = binaries() / command[0]
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _name(engine: Engine) -> str:
    """The database's URL as PostgreSQL's own programs take it, or the path of its file."""
    if engine.dialect.name == "sqlite":
        return str(engine.url.database)
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def _opened(url: str) -> Iterator[Engine]:
    engine = open_engine(check_url(url))
    try:
        yield engine
    finally:
        engine.dispose()


def _tag(engine: Engine) -> str:
    reader = open_engine(engine.url, read_only=True)
    try:
        return Client(create_app(reader)).get_response("/api/v1/groups/one/status").headers["ETag"]
    finally:
        reader.dispose()


def _last_event(engine: Engine) -> int:
    with reading(engine) as connection:
        return int(connection.scalar(text("SELECT last_id FROM published_events")) or 0)


def _record_more(engine: Engine) -> None:
    """Record what the backup lacks: one more entry, and a longer interval."""
    recording = Recording(engine)
    recording.see("one", 170, settled(completed=6))
    recording.see("two", 170, active(running=2, completed=4), metadata=LABELS)


def _assert_goes_on(restored: Engine, lost: Engine) -> None:
    """Check a restored database, before and after more is recorded, against the one that was lost."""
    assert findings(restored) == []
    assert list(differences(restored)) == []
    at_backup, later = heads_of(restored), heads_of(lost)
    assert brief(findings(restored, at_backup)) == []
    known = [("one", 12, "truncated"), ("two", 11, "truncated")]
    assert brief(findings(restored, later)) == known
    recording = Recording(restored)
    recording.see("one", 200, settled(completed=5, failed=1))
    # The same `seq` as in the lost database, and another response.
    assert heads_of(restored)["one"].seq == later["one"].seq
    assert _tag(restored) != _tag(lost)
    assert findings(restored, at_backup) == []
    assert ("one", 12, "digest_mismatch") in brief(findings(restored, later))
    recording.see("two", 300, active(running=2, completed=4), metadata=LABELS)
    _, gap, status = rows_of(restored, "two")["entries"][-3:]
    assert (gap.kind, gap.gap_from, gap.at) == ("gap", after(160), after(300)) and status.kind == "status"


@pytest.mark.ledger(fill=record)
@ON_A_FILE
@pytest.mark.parametrize("way", ["backup", "VACUUM INTO"])
def test_a_copy_of_a_file_in_use(engine: Engine, tmp_path: Path, way: str) -> None:
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(_name(engine))) as source, closing(sqlite3.connect(copy)) as target:
        if way == "backup":
            source.backup(target)
        else:
            source.execute("VACUUM INTO ?", [str(copy)])
    _record_more(engine)
    with _opened(f"sqlite:///{copy}") as restored:
        _assert_goes_on(restored, engine)


@pytest.mark.ledger(fill=record)
@ON_POSTGRESQL
def test_a_whole_dump(engine: Engine, postgres: str, tmp_path: Path) -> None:
    dump = str(tmp_path / "recorder.dump")
    _run("pg_dump", "--format", "custom", "--file", dump, "--dbname", _name(engine))
    _record_more(engine)
    with postgres_database(postgres, "restored") as url, _opened(url) as restored:
        _run("pg_restore", "--exit-on-error", "--dbname", url, dump)
        _assert_goes_on(restored, engine)


def test_a_point_in_time() -> None:
    """A base backup that was made before anything was recorded, and the WAL since then."""
    with archiving_postgres() as (url, wal), _opened(url) as lost:
        upgrade_database(url)
        with backed_up(url) as recover:
            record(lost)
            until = _scalar(lost, "SELECT clock_timestamp()")
            _record_more(lost)
            newest = _scalar(lost, "SELECT pg_walfile_name(pg_switch_wal())")
            wait_until(lambda: (wal / newest).exists() or None, "the WAL to be archived")
            with _opened(recover(wal, until)) as restored:
                promoted = "SELECT NOT pg_is_in_recovery()"
                wait_until(lambda: _scalar(restored, promoted) or None, "the recovery to end")
                _assert_goes_on(restored, lost)


def _scalar(engine: Engine, question: str) -> Any:
    with engine.connect() as connection:
        return connection.scalar(text(question))


@pytest.mark.ledger(fill=record)
@ON_POSTGRESQL
def test_a_dump_of_the_data_alone(engine: Engine, postgres: str, tmp_path: Path) -> None:
    """Its restore leaves triggers that a replica session does not run, until they are repaired."""
    with writing(engine) as connection:
        publish_events(connection)
    dump = str(tmp_path / "recorder.dump")
    _run("pg_dump", "--format", "custom", "--data-only", "--file", dump, "--dbname", _name(engine))
    kept, last_event = rows_of(engine), _last_event(engine)
    _record_more(engine)
    with postgres_database(postgres, "restored") as url, _opened(url) as restored:
        upgrade_database(url)
        with psycopg.connect(url) as connection:
            for table in ONE_ROW_TABLES:
                connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
        _run("pg_restore", "--exit-on-error", "--data-only", "--disable-triggers", "--dbname", url, dump)
        assert rows_of(restored) == kept
        assert _last_event(restored) == last_event > 0
        found = list(differences(restored))
        assert any("entries_refuse_delete" in one for one in found)
        assert repair_schema(restored)
        _assert_goes_on(restored, engine)
