"""Archive whole groups: a tombstone lets the entries of its group go, and stands until they are all back.

Revision: 0013, after 0011. The view archived_groups shows the tombstones. What is derived from a ledger stays
when its entries go, so group_metadata lists only groups that have a watch.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import guards

revision = "0013"
down_revision = "0011"
branch_labels = None
depends_on = None

Time = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    if not op.get_context().as_sql:
        guards.refuse_dependent_views("group_metadata")
    op.create_table(
        "tombstones",
        sa.Column("taskgroup_id", Id, primary_key=True),
        sa.Column("head_seq", sa.BigInteger, nullable=False),
        sa.Column("head_digest", sa.Text, nullable=False),
        sa.Column("entries", sa.BigInteger, nullable=False),
        sa.Column("first_at", Time, nullable=False),
        sa.Column("last_at", Time, nullable=False),
        sa.Column("archived_at", Time, nullable=False),
        sa.Column("archive_sha256", sa.Text, nullable=False),
        sa.Column("watch", sa.Text, nullable=False),
        sa.Column("kept", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_tombstones_archive_sha256", "tombstones", ["archive_sha256"])
    op.create_table(
        "archive_turns",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text),
        sa.Column("free_at", Time),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO archive_turns (name) VALUES ('archive')")
    op.execute(_ARCHIVED_GROUPS)
    op.execute("DROP VIEW group_metadata")
    op.execute(_GROUP_METADATA)
    postgresql = op.get_context().dialect.name == "postgresql"
    for statement in (
        _POSTGRESQL_OLD_AWAY if postgresql else ("DROP TRIGGER IF EXISTS entries_refuse_delete",)
    ):
        op.execute(statement)
    for statement in _POSTGRESQL if postgresql else _SQLITE:
        op.execute(statement)


def downgrade() -> None:
    guards.lock_ledger()
    guards.refuse_rows(
        "tombstones", "archived", "the entries of which are in their archives only; restore them first"
    )
    guards.refuse_dependent_views("group_metadata", "archived_groups", "tombstones", "archive_turns")
    postgresql = op.get_context().dialect.name == "postgresql"
    for statement in _POSTGRESQL_AWAY if postgresql else _SQLITE_AWAY:
        op.execute(statement)
    for view in ("archived_groups", "group_metadata"):
        op.execute(f"DROP VIEW {view}")
    for table in ("archive_turns", "tombstones"):
        op.drop_table(table)
    for statement in _POSTGRESQL_OLD if postgresql else _SQLITE_OLD:
        op.execute(statement)
    op.execute(_OLD_GROUP_METADATA)


_ARCHIVED_GROUPS = """CREATE VIEW archived_groups AS
        SELECT
            t.taskgroup_id,
            t.head_seq,
            t.head_digest,
            t.entries,
            t.first_at,
            t.last_at,
            t.archived_at,
            t.archive_sha256
        FROM tombstones t"""

_GROUP_METADATA = """CREATE VIEW group_metadata AS
        SELECT
            l.taskgroup_id,
            l.name AS key,
            l.text AS value,
            l.type
        FROM group_labels l
        JOIN watches w ON w.taskgroup_id = l.taskgroup_id"""

_OLD_GROUP_METADATA = """CREATE VIEW group_metadata AS
        SELECT
            l.taskgroup_id,
            l.name AS key,
            l.text AS value,
            l.type
        FROM group_labels l"""


# INSERT OR REPLACE deletes the existing row without firing the DELETE trigger: hence those on INSERT.
_SQLITE = (
    """CREATE TRIGGER entries_refuse_delete BEFORE DELETE ON entries
WHEN NOT EXISTS (
    SELECT 1 FROM tombstones t WHERE t.taskgroup_id = OLD.taskgroup_id
    AND (OLD.seq = t.head_seq AND OLD.digest = t.head_digest OR EXISTS (
        SELECT 1 FROM entries h
        WHERE h.taskgroup_id = t.taskgroup_id AND h.seq = t.head_seq AND h.digest = t.head_digest))
    AND NOT EXISTS (SELECT 1 FROM entries n WHERE n.taskgroup_id = t.taskgroup_id AND n.seq > t.head_seq))
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: no DELETE of entries without their tombstone'); END""",
    """CREATE TRIGGER entries_refuse_archived BEFORE INSERT ON entries
WHEN EXISTS (
    SELECT 1 FROM tombstones t WHERE t.taskgroup_id = NEW.taskgroup_id
    AND (NEW.seq > t.head_seq OR NEW.seq = t.head_seq AND NEW.digest IS NOT t.head_digest))
BEGIN SELECT RAISE(ABORT, 'the group is archived: its ledger ends with the head of its tombstone'); END""",
    """CREATE TRIGGER tombstones_refuse_update BEFORE UPDATE ON tombstones
BEGIN SELECT RAISE(ABORT, 'a tombstone is never changed: no UPDATE of tombstones'); END""",
    """CREATE TRIGGER tombstones_refuse_replace BEFORE INSERT ON tombstones
WHEN EXISTS (SELECT 1 FROM tombstones WHERE taskgroup_id = NEW.taskgroup_id)
BEGIN SELECT RAISE(ABORT, 'a tombstone is never changed: the group has one already'); END""",
    """CREATE TRIGGER tombstones_refuse_delete BEFORE DELETE ON tombstones
WHEN NOT EXISTS (
    SELECT 1 FROM entries h
    WHERE h.taskgroup_id = OLD.taskgroup_id AND h.seq = OLD.head_seq AND h.digest = OLD.head_digest)
OR (SELECT count(*) FROM entries e WHERE e.taskgroup_id = OLD.taskgroup_id) <> OLD.head_seq
BEGIN SELECT RAISE(ABORT, 'a tombstone stands until its entries do: no DELETE of tombstones'); END""",
)

_SQLITE_OLD = (
    """CREATE TRIGGER entries_refuse_delete BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: no DELETE from entries'); END""",
)

_SQLITE_AWAY = (
    "DROP TRIGGER entries_refuse_delete",
    "DROP TRIGGER entries_refuse_archived",
)

# STABLE functions see what stood before the statement, in whatever order it deletes rows. All look up tables
# in the schema that they are created in, whatever the search path of a session. ENABLE ALWAYS:
# session_replication_role = replica turns ordinary triggers off.
_POSTGRESQL = (
    """CREATE OR REPLACE FUNCTION entries_refuse_change() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: no % of entries', TG_OP
        USING ERRCODE = 'restrict_violation';
END $$""",
    """DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION entries_refuse_change() '
        'SET search_path = pg_catalog, %I, pg_temp', current_schema());
END $$""",
    """CREATE TRIGGER entries_refuse_change BEFORE UPDATE ON entries
FOR EACH ROW EXECUTE FUNCTION entries_refuse_change()""",
    """ALTER TABLE entries ENABLE ALWAYS TRIGGER entries_refuse_change""",
    """CREATE OR REPLACE FUNCTION entries_refuse_delete() RETURNS trigger LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM tombstones t
        JOIN entries h ON h.taskgroup_id = t.taskgroup_id AND h.seq = t.head_seq AND h.digest = t.head_digest
        WHERE t.taskgroup_id = OLD.taskgroup_id AND NOT EXISTS (
            SELECT FROM entries n WHERE n.taskgroup_id = t.taskgroup_id AND n.seq > t.head_seq)
    ) THEN
        RAISE EXCEPTION 'the ledger is append-only: no DELETE of entries without their tombstone'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END $$""",
    """DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION entries_refuse_delete() '
        'SET search_path = pg_catalog, %I, pg_temp', current_schema());
END $$""",
    """CREATE TRIGGER entries_refuse_delete BEFORE DELETE ON entries
FOR EACH ROW EXECUTE FUNCTION entries_refuse_delete()""",
    """ALTER TABLE entries ENABLE ALWAYS TRIGGER entries_refuse_delete""",
    """CREATE OR REPLACE FUNCTION entries_refuse_archived() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added a JOIN tombstones t ON t.taskgroup_id = a.taskgroup_id
        WHERE a.seq > t.head_seq OR a.seq = t.head_seq AND a.digest <> t.head_digest
    ) THEN
        RAISE EXCEPTION 'the group is archived: its ledger ends with the head of its tombstone'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$""",
    """DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION entries_refuse_archived() '
        'SET search_path = pg_catalog, %I, pg_temp', current_schema());
END $$""",
    """CREATE TRIGGER entries_refuse_archived AFTER INSERT ON entries REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION entries_refuse_archived()""",
    """ALTER TABLE entries ENABLE ALWAYS TRIGGER entries_refuse_archived""",
    """CREATE OR REPLACE FUNCTION tombstones_refuse_change() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RAISE EXCEPTION 'a tombstone is never changed: no % of tombstones', TG_OP
        USING ERRCODE = 'restrict_violation';
END $$""",
    """DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION tombstones_refuse_change() '
        'SET search_path = pg_catalog, %I, pg_temp', current_schema());
END $$""",
    """CREATE TRIGGER tombstones_refuse_change BEFORE UPDATE ON tombstones
FOR EACH ROW EXECUTE FUNCTION tombstones_refuse_change()""",
    """ALTER TABLE tombstones ENABLE ALWAYS TRIGGER tombstones_refuse_change""",
    """CREATE TRIGGER tombstones_refuse_truncate BEFORE TRUNCATE ON tombstones
FOR EACH STATEMENT EXECUTE FUNCTION tombstones_refuse_change()""",
    """ALTER TABLE tombstones ENABLE ALWAYS TRIGGER tombstones_refuse_truncate""",
    """CREATE OR REPLACE FUNCTION tombstones_refuse_delete() RETURNS trigger LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM entries h
        WHERE h.taskgroup_id = OLD.taskgroup_id AND h.seq = OLD.head_seq AND h.digest = OLD.head_digest
    ) OR (SELECT count(*) FROM entries e WHERE e.taskgroup_id = OLD.taskgroup_id) <> OLD.head_seq THEN
        RAISE EXCEPTION 'a tombstone stands until its entries do: no DELETE of tombstones'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END $$""",
    """DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION tombstones_refuse_delete() '
        'SET search_path = pg_catalog, %I, pg_temp', current_schema());
END $$""",
    """CREATE TRIGGER tombstones_refuse_delete BEFORE DELETE ON tombstones
FOR EACH ROW EXECUTE FUNCTION tombstones_refuse_delete()""",
    """ALTER TABLE tombstones ENABLE ALWAYS TRIGGER tombstones_refuse_delete""",
)

_POSTGRESQL_OLD_AWAY = ("DROP TRIGGER IF EXISTS entries_refuse_change ON entries",)

_POSTGRESQL_OLD = (
    """CREATE OR REPLACE FUNCTION entries_refuse_change() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
        RAISE EXCEPTION 'the ledger is append-only: no % of entries', TG_OP
            USING ERRCODE = 'restrict_violation';
    END $$""",
    """ALTER FUNCTION entries_refuse_change() RESET search_path""",
    """CREATE TRIGGER entries_refuse_change BEFORE UPDATE OR DELETE ON entries
    FOR EACH ROW EXECUTE FUNCTION entries_refuse_change()""",
    """ALTER TABLE entries ENABLE ALWAYS TRIGGER entries_refuse_change""",
)

_POSTGRESQL_AWAY = (
    "DROP TRIGGER entries_refuse_change ON entries",
    "DROP TRIGGER entries_refuse_delete ON entries",
    "DROP TRIGGER entries_refuse_archived ON entries",
    "DROP TRIGGER tombstones_refuse_change ON tombstones",
    "DROP TRIGGER tombstones_refuse_truncate ON tombstones",
    "DROP TRIGGER tombstones_refuse_delete ON tombstones",
    "DROP FUNCTION entries_refuse_delete()",
    "DROP FUNCTION entries_refuse_archived()",
    "DROP FUNCTION tombstones_refuse_change()",
    "DROP FUNCTION tombstones_refuse_delete()",
)
