"""The tables. They are private to the recorder: users query the views that the migrations create."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    literal_column,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from recorder.ledger.entries import Kind
from recorder.ledger.status_fields import RUN_STATUSES
from recorder.store.dialects.registry import TABLE_OPTIONS, dialect_named, id_type, partial_index

TABLE_NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=TABLE_NAMING)


class Time(TypeDecorator[datetime]):
    """An aware time in UTC, which sorts as the times do."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(dialect_named(dialect.name).time_type)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        return None if value is None else dialect_named(dialect.name).to_time_column(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else dialect_named(dialect.name).from_time_column(value)


Id = id_type()
"""Ids and other texts that sort by their UTF-8 bytes."""

SHORT = "phase = 'settled' AND finished < expected_runs"
"""The condition of a watch that its group is settled with fewer runs than expected."""
NOT_DONE = "expected_by IS NOT NULL AND (phase IS NULL OR phase <> 'settled' OR finished < expected_runs)"
"""The condition of a watch that its group was expected to be done by some time, and is not."""

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
    Column("expected_runs", BigInteger),
    Column("expected_by", Time),
    Column("earlier_sight_at", Time),
    Index(None, "next_poll_at"),
    Index(None, "enrolled_at", "taskgroup_id"),
    Index("ix_watches_short", "taskgroup_id", **partial_index(text(SHORT))),
    Index("ix_watches_expected_by", "expected_by", **partial_index(text(NOT_DONE))),
    **TABLE_OPTIONS,
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
    *(Column(status, BigInteger) for status in RUN_STATUSES),
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
    Column("expect_runs", BigInteger),
    Column("expect_by", Time),
    Column("digest", Text, nullable=False),
    CheckConstraint("kind IN ('watch', 'status', 'gap')", name="kind"),
    CheckConstraint("seq >= 1", name="seq"),
    Index(
        "ix_entries_gaps",
        *("at", "gap_from", "taskgroup_id", "gap_cause"),
        **partial_index(text("kind = 'gap'")),
    ),
    # SQLite takes this index only if it holds every column that a query names.
    Index("ix_entries_watch", "taskgroup_id", "seq", "kind", **partial_index(text("kind = 'watch'"))),
    **TABLE_OPTIONS,
)


def is_kind(kind: Kind) -> ColumnElement[bool]:
    """Return the condition that an entry is of a kind, by an index if there is one.

    The kind is a literal, since SQLite takes no index with a condition for a parameter.
    """
    return entries.c.kind == literal_column(f"'{kind}'")


episodes = Table(
    "episodes",
    metadata,
    Column("taskgroup_id", Id, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("started_at", Time, nullable=False),
    Column("started_earliest", Time),
    Column("started_latest", Time, nullable=False),
    Column("started_basis", Text, nullable=False),
    Column("completed_at", Time),
    Column("completed_earliest", Time),
    Column("completed_latest", Time),
    Column("completed_basis", Text),
    Column("duration_seconds", Float),
    Column("duration_earliest_seconds", Float),
    Column("duration_latest_seconds", Float),
    Column("seen_seq", BigInteger),
    Column("seen_at", Time),
    Column("first_sight", Boolean, nullable=False),
    Column("outcome", Text),
    Column("runs_total", BigInteger),
    Column("runs_completed", BigInteger),
    Column("runs_failed", BigInteger),
    Column("runs_cancelled", BigInteger),
    Column("gap_seconds", Float, nullable=False),
    Column("polls", BigInteger, nullable=False),
    Index("ix_episodes_open", "taskgroup_id", **partial_index(text("completed_at IS NULL"))),
    Index(
        "ix_episodes_durations",
        *("started_at", "first_sight", "completed_latest"),
        *("duration_seconds", "duration_earliest_seconds", "duration_latest_seconds", "completed_at"),
    ),
    **TABLE_OPTIONS,
)
"""Derived. An open episode grows without new entries, so its durations are NULL here, and its `polls` do not
include those of the status that is still in force. `seen_seq` is the entry of its last clear observation, and
`seen_at` the last time of that observation that an entry records."""

milestones = Table(
    "milestones",
    metadata,
    Column("taskgroup_id", Id, primary_key=True),
    Column("episode", BigInteger, primary_key=True, autoincrement=False),
    Column("fraction", Float, primary_key=True),
    Column("runs", BigInteger),
    Column("at", Time),
    Column("earliest", Time),
    Column("latest", Time),
    Column("basis", Text),
    Column("seconds", Float),
    Column("seconds_earliest", Float),
    Column("seconds_latest", Float),
    **TABLE_OPTIONS,
)
"""Derived: the milestones of each episode, with nulls for those that are not reached."""

group_labels = Table(
    "group_labels",
    metadata,
    Column("taskgroup_id", Id, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("long_value", Text),
    Column("name", Id),
    Column("text", Id),
    Column("type", Text),
    Index(None, "key", "value", "taskgroup_id"),
    **TABLE_OPTIONS,
)
"""Derived from the metadata of the newest status. `key` and `value` are marks; `long_value` is the full value
where the mark is a digest. `name`, `text` and `type` are for people: the key, the text of the value that a
filter compares, and the type that JSON gives it."""

labelled_durations = Table(
    "labelled_durations",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("taskgroup_id", Id, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("started_at", Time, nullable=False),
    Column("first_sight", Boolean, nullable=False),
    Column("duration_seconds", Float, nullable=False),
    Column("duration_earliest_seconds", Float),
    Column("duration_latest_seconds", Float),
    Column("completed_latest", Time, nullable=False),
    Index(None, "taskgroup_id"),
    **TABLE_OPTIONS,
)
"""Derived: completed episodes, repeated for each label of their group, so that statistics by label read one
range of one table."""

summaries = Table(
    "summaries",
    metadata,
    Column("taskgroup_id", Id, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("rules", Integer, nullable=False),
    Column("created_at", Time),
    Column("standing_seq", BigInteger),
    Column("standing_since", Time),
    Column("summary", Text, nullable=False),
    Index(
        "ix_summaries_standing_since", "standing_since", **partial_index(text("standing_since IS NOT NULL"))
    ),
    **TABLE_OPTIONS,
)
"""Derived: the summary of each ledger up to its entry `seq`. Of an active group, `standing_seq` is the entry
since which its counts have not changed, and `standing_since` its time."""

request_keys = Table(
    "request_keys",
    metadata,
    Column("taskgroup_id", Id, primary_key=True),
    Column("key", Id, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("at", Time, nullable=False),
    **TABLE_OPTIONS,
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
    **TABLE_OPTIONS,
)
