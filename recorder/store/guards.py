"""The current SQL of the triggers that guard the ledger and its tombstones.

The migrations create them, and a test compares the result with this module, which `recorder db repair` uses.
To change a guard, change it here and add a revision that drops and recreates it.

An entry goes only while the tombstone of its group stands, and that names the newest entry. A tombstone goes
only while all entries stand again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Guard:
    """A trigger: the table it guards, its name, the statements that create it where there is none, and the
    one that drops it if it is there."""

    table: str
    name: str
    create: Sequence[str]
    drop: str


def guards_of(dialect: str) -> list[Guard]:
    """Return the guards of a database; `dialect` is `sqlite` or `postgresql`."""
    return _POSTGRESQL if dialect == "postgresql" else _SQLITE


def _table_of(name: str) -> str:
    """Return the table that a guard is named after."""
    return name.partition("_")[0]


def _sqlite(name: str, when: str, condition: str, words: str) -> Guard:
    table = _table_of(name)
    clause = f"\nWHEN {condition}" if condition else ""
    create = f"""CREATE TRIGGER {name} BEFORE {when} ON {table}{clause}
BEGIN SELECT RAISE(ABORT, '{words}'); END"""
    return Guard(table, name, [create], f"DROP TRIGGER IF EXISTS {name}")


_SQLITE = [
    _sqlite(
        *("entries_refuse_update", "UPDATE", ""),
        "the ledger is append-only: no UPDATE of entries",
    ),
    _sqlite(
        *("entries_refuse_delete", "DELETE"),
        """NOT EXISTS (
    SELECT 1 FROM tombstones t WHERE t.taskgroup_id = OLD.taskgroup_id
    AND (OLD.seq = t.head_seq AND OLD.digest = t.head_digest OR EXISTS (
        SELECT 1 FROM entries h
        WHERE h.taskgroup_id = t.taskgroup_id AND h.seq = t.head_seq AND h.digest = t.head_digest))
    AND NOT EXISTS (SELECT 1 FROM entries n WHERE n.taskgroup_id = t.taskgroup_id AND n.seq > t.head_seq))""",
        "the ledger is append-only: no DELETE of entries without their tombstone",
    ),
    # INSERT OR REPLACE deletes the existing row without firing the DELETE trigger: hence the one on INSERT.
    _sqlite(
        *("entries_refuse_replace", "INSERT"),
        "EXISTS (SELECT 1 FROM entries WHERE taskgroup_id = NEW.taskgroup_id AND seq = NEW.seq)",
        "the ledger is append-only: this entry stands already",
    ),
    _sqlite(
        *("entries_refuse_archived", "INSERT"),
        """EXISTS (
    SELECT 1 FROM tombstones t WHERE t.taskgroup_id = NEW.taskgroup_id
    AND (NEW.seq > t.head_seq OR NEW.seq = t.head_seq AND NEW.digest IS NOT t.head_digest))""",
        "the group is archived: its ledger ends with the head of its tombstone",
    ),
    _sqlite(
        *("tombstones_refuse_update", "UPDATE", ""),
        "a tombstone is never changed: no UPDATE of tombstones",
    ),
    _sqlite(
        *("tombstones_refuse_replace", "INSERT"),
        "EXISTS (SELECT 1 FROM tombstones WHERE taskgroup_id = NEW.taskgroup_id)",
        "a tombstone is never changed: the group has one already",
    ),
    _sqlite(
        *("tombstones_refuse_delete", "DELETE"),
        """NOT EXISTS (
    SELECT 1 FROM entries h
    WHERE h.taskgroup_id = OLD.taskgroup_id AND h.seq = OLD.head_seq AND h.digest = OLD.head_digest)
OR (SELECT count(*) FROM entries e WHERE e.taskgroup_id = OLD.taskgroup_id) <> OLD.head_seq""",
        "a tombstone stands until its entries do: no DELETE of tombstones",
    ),
]

# The functions look up tables in the schema that they are created in, whatever the search path of a session.
_PIN = """DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION {name}() '
        'SET search_path = pg_catalog, %I, pg_temp', current_schema());
END $$"""


@dataclass(frozen=True, slots=True)
class _Function:
    name: str
    create: Sequence[str]


def _function(name: str, volatility: str, body: str) -> _Function:
    create = f"""CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql {volatility} AS $$
BEGIN
{body}
END $$"""
    return _Function(name, [create, _PIN.format(name=name)])


def _postgresql(name: str, event: str, level: str, function: _Function) -> Guard:
    # ENABLE ALWAYS: session_replication_role = replica turns ordinary triggers off.
    table = _table_of(name)
    create = f"CREATE TRIGGER {name} {event}\nFOR EACH {level} EXECUTE FUNCTION {function.name}()"
    always = f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}"
    drop = f"DROP TRIGGER IF EXISTS {name} ON {table}"
    return Guard(table, name, [*function.create, create, always], drop)


def _refusal(name: str, words: str) -> _Function:
    raising = f"    RAISE EXCEPTION '{words}', TG_OP\n        USING ERRCODE = 'restrict_violation';"
    return _function(name, "VOLATILE", raising)


# STABLE: they see what stood before the statement, in whatever order it deletes rows.
_DELETE_ENTRIES = _function(
    "entries_refuse_delete",
    "STABLE",
    """    IF NOT EXISTS (
        SELECT FROM tombstones t
        JOIN entries h ON h.taskgroup_id = t.taskgroup_id AND h.seq = t.head_seq AND h.digest = t.head_digest
        WHERE t.taskgroup_id = OLD.taskgroup_id AND NOT EXISTS (
            SELECT FROM entries n WHERE n.taskgroup_id = t.taskgroup_id AND n.seq > t.head_seq)
    ) THEN
        RAISE EXCEPTION 'the ledger is append-only: no DELETE of entries without their tombstone'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;""",
)
_INSERT_ENTRIES = _function(
    "entries_refuse_archived",
    "VOLATILE",
    """    IF EXISTS (
        SELECT FROM added a JOIN tombstones t ON t.taskgroup_id = a.taskgroup_id
        WHERE a.seq > t.head_seq OR a.seq = t.head_seq AND a.digest <> t.head_digest
    ) THEN
        RAISE EXCEPTION 'the group is archived: its ledger ends with the head of its tombstone'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;""",
)
_DELETE_TOMBSTONES = _function(
    "tombstones_refuse_delete",
    "STABLE",
    """    IF NOT EXISTS (
        SELECT FROM entries h
        WHERE h.taskgroup_id = OLD.taskgroup_id AND h.seq = OLD.head_seq AND h.digest = OLD.head_digest
    ) OR (SELECT count(*) FROM entries e WHERE e.taskgroup_id = OLD.taskgroup_id) <> OLD.head_seq THEN
        RAISE EXCEPTION 'a tombstone stands until its entries do: no DELETE of tombstones'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;""",
)
_CHANGE_ENTRIES = _refusal("entries_refuse_change", "the ledger is append-only: no % of entries")
_CHANGE_TOMBSTONES = _refusal("tombstones_refuse_change", "a tombstone is never changed: no % of tombstones")

_POSTGRESQL = [
    _postgresql("entries_refuse_change", "BEFORE UPDATE ON entries", "ROW", _CHANGE_ENTRIES),
    _postgresql("entries_refuse_truncate", "BEFORE TRUNCATE ON entries", "STATEMENT", _CHANGE_ENTRIES),
    _postgresql("entries_refuse_delete", "BEFORE DELETE ON entries", "ROW", _DELETE_ENTRIES),
    _postgresql(
        *("entries_refuse_archived", "AFTER INSERT ON entries REFERENCING NEW TABLE AS added", "STATEMENT"),
        _INSERT_ENTRIES,
    ),
    _postgresql("tombstones_refuse_change", "BEFORE UPDATE ON tombstones", "ROW", _CHANGE_TOMBSTONES),
    _postgresql(
        *("tombstones_refuse_truncate", "BEFORE TRUNCATE ON tombstones", "STATEMENT"), _CHANGE_TOMBSTONES
    ),
    _postgresql("tombstones_refuse_delete", "BEFORE DELETE ON tombstones", "ROW", _DELETE_TOMBSTONES),
]
