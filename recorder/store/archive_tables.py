"""The tables of archived groups; private like the others."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table, Text

from recorder.store.dialects.registry import TABLE_OPTIONS
from recorder.store.tables import Id, Time, metadata

tombstones = Table(
    "tombstones",
    metadata,
    Column("taskgroup_id", Id, primary_key=True),
    Column("head_seq", BigInteger, nullable=False),
    Column("head_digest", Text, nullable=False),
    Column("entries", BigInteger, nullable=False),
    Column("first_at", Time, nullable=False),
    Column("last_at", Time, nullable=False),
    Column("archived_at", Time, nullable=False),
    Column("archive_sha256", Text, nullable=False),
    Column("watch", Text, nullable=False),
    Column("kept", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Index(None, "archive_sha256"),
    **TABLE_OPTIONS,
)
"""What stands in the place of archived ledgers. `watch` is the group's watch row as JSON, `kept` the digest
of the derived rows that stay, and `digest` that of all the other columns."""

archive_turns = Table(
    "archive_turns",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text),
    Column("free_at", Time),
    **TABLE_OPTIONS,
)
"""One row: which recorder archives, or did so last, and from when on another one may."""
