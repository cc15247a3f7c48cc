"""The tables of events and of their deliveries; private, as those in `tables` are."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, text

from recorder.store.dialects.registry import TABLE_OPTIONS, partial_index
from recorder.store.tables import Id, Time, metadata

events = Table(
    "events",
    metadata,
    Column("taskgroup_id", Id, primary_key=True),
    Column("type", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("id", BigInteger),
    Column("at", Time, nullable=False),
    Column("seq", BigInteger),
    Column("data", Text, nullable=False),
    Index("ix_events_id", "id", unique=True),
    Index("ix_events_type_id", "type", "id"),
    Index("ix_events_unpublished", "taskgroup_id", "seq", **partial_index(text("id IS NULL"))),
    **TABLE_OPTIONS,
)
"""What happened. The primary key keeps an event from being written twice: of the same type, a group has one
for each `subject`. Events about the upstream have the empty id. `id` is null until they are published."""

published_events = Table(
    "published_events",
    metadata,
    Column("name", Text, primary_key=True),
    Column("last_id", BigInteger, nullable=False),
    **TABLE_OPTIONS,
)
"""One row, with the id of the newest published event; whoever publishes locks it."""

upstream_state = Table(
    "upstream_state",
    metadata,
    Column("name", Text, primary_key=True),
    Column("failing_since", Time),
    Column("down_since", Time),
    Column("outages", BigInteger, nullable=False),
    Column("rejected_since", Time),
    Column("rejections", BigInteger, nullable=False),
    **TABLE_OPTIONS,
)
"""One row: how the upstream responds to all recorders."""

sinks = Table(
    "sinks",
    metadata,
    Column("name", Id, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("listed", Boolean, nullable=False),
    Column("after_id", BigInteger, nullable=False),
    Column("first_seen_at", Time, nullable=False),
    Column("disabled_at", Time),
    Column("last_success_at", Time),
    Column("last_error_at", Time),
    Column("last_error", Text),
    **TABLE_OPTIONS,
)
"""Where events are delivered. `listed`: it is in the file of the recorder that delivers. Events up to
`after_id` have been queued for it, as far as it wants them."""

deliveries = Table(
    "deliveries",
    metadata,
    Column("sink", Id, primary_key=True),
    Column("event_id", BigInteger, primary_key=True, autoincrement=False),
    Column("taskgroup_id", Id, nullable=False),
    Column("queued_at", Time, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Time, nullable=False),
    Column("failed_at", Time),
    Index(
        "ix_deliveries_next_attempt_at",
        *("sink", "next_attempt_at", "event_id"),
        **partial_index(text("failed_at IS NULL")),
    ),
    Index(
        "ix_deliveries_taskgroup_id",
        *("sink", "taskgroup_id", "event_id"),
        **partial_index(text("failed_at IS NULL")),
    ),
    **TABLE_OPTIONS,
)
"""Events that a sink is still to be told, and those that it could not be told (`failed_at`). A row is deleted
once it is delivered."""

delivery_lease = Table(
    "delivery_lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text),
    Column("until", Time),
    **TABLE_OPTIONS,
)
"""One row: which recorder delivers, and until when no other may."""
