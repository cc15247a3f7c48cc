"""The database itself lets entries go only where their tombstone stands, on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, insert, text
from sqlalchemy.exc import IntegrityError

from recorder.store.archive_tables import tombstones
from recorder.store.dialects.registry import dialect_of
from recorder.store.guards import guards_of
from recorder.store.schema_diff import differences
from recorder.store.transactions import reading, writing
from tests.support.archives import archive, entry_rows, put_entries, record_old, tombstone_rows
from tests.support.tampering import rows_of


@pytest.fixture
def recorded(engine: Engine) -> Engine:
    record_old(engine)
    return engine


def _refused(engine: Engine, *statements: str, match: str = "append-only") -> None:
    before = rows_of(engine), tombstone_rows(engine)
    with pytest.raises(IntegrityError, match=match), writing(engine) as connection:
        for statement in statements:
            connection.execute(text(statement))
    assert (rows_of(engine), tombstone_rows(engine)) == before


_COLUMNS = ", ".join(column.name for column in tombstones.c)


def _put(which: str, *, seq: str = "seq", digest: str = "digest", group: str = "taskgroup_id") -> str:
    """Put the tombstone of a group whose head is the entry `which`, with other values if given."""
    return f"""INSERT INTO tombstones ({_COLUMNS})
        SELECT {group}, {seq}, {digest}, seq, at, at, at, 'x', 'x', 'x', 'x' FROM entries WHERE {which}"""


HEAD = "taskgroup_id = 'done' AND seq = (SELECT max(seq) FROM entries WHERE taskgroup_id = 'done')"
DELETE = "DELETE FROM entries WHERE taskgroup_id = 'done'"


@pytest.mark.parametrize(
    "statements",
    [
        [DELETE],
        [_put(HEAD, digest="'forged'"), DELETE],
        [_put(HEAD, seq="seq - 1"), DELETE],
        [_put(HEAD, seq="seq + 1"), DELETE],
        [_put("taskgroup_id = 'done' AND seq = 2"), DELETE],
        [_put(HEAD, group="'another'"), DELETE],
        [_put(HEAD), "DELETE FROM entries"],
    ],
    ids=[
        "none",
        "another digest",
        "an earlier number",
        "a later number",
        "an earlier entry",
        "another group",
        "all",
    ],
)
def test_entries_stay_without_the_tombstone_of_their_head(
    recorded: Engine, statements: Sequence[str]
) -> None:
    _refused(recorded, *statements)


def test_a_ledger_goes_where_its_tombstone_stands(recorded: Engine) -> None:
    before = rows_of(recorded)["entries"]
    with writing(recorded) as connection:
        connection.execute(text(_put(HEAD)))
        connection.execute(text(DELETE))
    assert rows_of(recorded)["entries"] == [row for row in before if row.taskgroup_id != "done"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "before",
    [
        "SET LOCAL session_replication_role = replica",
        "CREATE TEMP TABLE tombstones AS "
        "SELECT taskgroup_id, max(seq) AS head_seq, max(digest) AS head_digest FROM entries GROUP BY 1; "
        "CREATE TEMP TABLE entries AS "
        "SELECT taskgroup_id, head_seq AS seq, head_digest AS digest FROM pg_temp.tombstones",
    ],
    ids=["a replica", "tables of the same names"],
)
def test_postgresql_does_not_let_a_session_look_elsewhere(recorded: Engine, before: str) -> None:
    _refused(recorded, *before.split("; "), DELETE.replace("entries", "public.entries"))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_postgresql_never_truncates(recorded: Engine, tmp_path: Path) -> None:
    archive(recorded, tmp_path / "old.gz")
    _refused(recorded, "TRUNCATE entries")
    _refused(recorded, "TRUNCATE tombstones", match="never changed")


def test_a_tombstone_stays_as_it_is(recorded: Engine, tmp_path: Path) -> None:
    archive(recorded, tmp_path / "old.gz")
    _refused(recorded, "UPDATE tombstones SET entries = entries", match="never changed")
    _refused(recorded, "DELETE FROM tombstones", match="stands until")
    with pytest.raises(IntegrityError), writing(recorded) as connection:
        connection.execute(insert(tombstones), tombstone_rows(recorded)[:1])
    if recorded.dialect.name == "sqlite":
        replace = f"REPLACE INTO tombstones ({_COLUMNS}) SELECT {_COLUMNS} FROM tombstones"
        _refused(recorded, replace, match="never changed")


def test_a_tombstone_goes_only_when_all_entries_stand_again(recorded: Engine, tmp_path: Path) -> None:
    before = entry_rows(recorded, "done")
    archive(recorded, tmp_path / "old.gz")
    delete = "DELETE FROM tombstones WHERE taskgroup_id = 'done'"
    put_entries(recorded, before[1:])
    _refused(recorded, delete, match="stands until")
    put_entries(recorded, before[:1])
    with writing(recorded) as connection:
        assert connection.execute(text(delete)).rowcount == 1


def test_an_archived_ledger_does_not_go_on(recorded: Engine, tmp_path: Path) -> None:
    before = entry_rows(recorded, "done")
    archive(recorded, tmp_path / "old.gz")
    head = before[-1]
    for entry in ({**head, "seq": head["seq"] + 1}, {**head, "digest": "0" * 64}):
        with pytest.raises(IntegrityError, match="archived"):
            put_entries(recorded, [entry])


def test_the_module_has_the_guards_that_the_migrations_create(engine: Engine) -> None:
    def renew(connection: Connection) -> None:
        for guard in guards_of(engine.dialect.name):
            connection.execute(text(guard.drop))
            for statement in guard.create:
                connection.exec_driver_sql(statement, execution_options={"no_parameters": True})

    with reading(engine) as connection:
        catalogue = dialect_of(connection).catalogue(connection)
    assert {name for kind, _, name, _ in catalogue if kind == "trigger"} == {
        guard.name for guard in guards_of(engine.dialect.name)
    }
    with writing(engine) as connection:
        renew(connection)
    assert differences(engine) == []
