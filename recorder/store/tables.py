"""The tables, private to this package; what people query are the views of the migrations."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from recorder.ledger.times import format_time, parse_time

TABLE_NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=TABLE_NAMING)


class Time(TypeDecorator[datetime]):
    """An aware UTC time: timestamptz on PostgreSQL; on SQLite text that sorts as the times do."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None or dialect.name != "sqlite":
            return value
        return format_time(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return parse_time(value) if isinstance(value, str) else value.astimezone(UTC)


Id = Text().with_variant(Text(collation="C"), "postgresql")
"""Ids sort by their UTF-8 bytes on both databases."""

watches = Table(
    "watches",
    metadata,
    Column("taskgroup_id", Id, primary_key=True),
    Column("state", Text, nullable=False),
    Column("enrolled_at", Time, nullable=False),
    Column("head_seq", BigInteger, nullable=False),
    Column("head_kind", Text, nullable=False),
    Column("head_at", Time, nullable=False),
    Column("head_digest", Text, nullable=False),
    Column("due_at", Time),
    Column("gap_at", Time),
    Column("poll_due_at", Time),
    Column("interval_seconds", Float),
    Column("next_poll_at", Time),
    Column("owner", Text),
    Column("lease_until", Time),
    Column("last_asked_at", Time),
    Column("last_seen_at", Time),
    Column("polls", BigInteger),
    Column("status_seq", BigInteger),
    Column("fingerprint", Text),
    Column("phase", Text),
    Column("finished", BigInteger),
    Column("modified_at", Time),
    Column("quiet_since", Time),
    Column("failures", Text),
    Index(None, "next_poll_at"),
    Index(None, "enrolled_at", "taskgroup_id"),
    sqlite_with_rowid=False,
)

entries = Table(
    "entries",
    metadata,
    Column("taskgroup_id", Id, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("at", Time, nullable=False),
    Column("previous_last_asked_at", Time),
    Column("previous_last_seen_at", Time),
    Column("previous_polls", BigInteger),
    Column("phase", Text),
    Column("num_task_runs", BigInteger),
    Column("queued", BigInteger),
    Column("action_required", BigInteger),
    Column("running", BigInteger),
    Column("completed", BigInteger),
    Column("failed", BigInteger),
    Column("cancelling", BigInteger),
    Column("cancelled", BigInteger),
    Column("is_active", Boolean),
    Column("status_message", Text),
    Column("modified_at", Time),
    Column("metadata", Text),
    Column("created_at", Time),
    Column("anomalies", Text),
    Column("extra", Text),
    Column("rules", Integer),
    Column("gap_from", Time),
    Column("gap_cause", Text),
    Column("gap_attempts", BigInteger),
    Column("gap_unpolled_seconds", Float),
    Column("gap_http_status", Integer),
    Column("gap_detail", Text),
    Column("watch_action", Text),
    Column("watch_actor", Text),
    Column("watch_note", Text),
    Column("digest", Text, nullable=False),
    CheckConstraint("kind IN ('watch', 'status', 'gap')", name="kind"),
    CheckConstraint("seq >= 1", name="seq"),
    sqlite_with_rowid=False,
)

recorders = Table(
    "recorders",
    metadata,
    Column("recorder_id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", Time, nullable=False),
    Column("heartbeat_at", Time, nullable=False),
    Column("counters", Text, nullable=False),
    Column("report", Text, nullable=False, server_default="{}"),
    sqlite_with_rowid=False,
)
