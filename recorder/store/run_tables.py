"""The tables of what the upstream claimed about single runs; private, as those in `tables` are."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text

from recorder.store.dialects.registry import TABLE_OPTIONS
from recorder.store.tables import Id, Time, metadata

run_snapshots = Table(
    "run_snapshots",
    metadata,
    Column("taskgroup_id", Id, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("asked_at", Time, nullable=False),
    Column("taken_at", Time, nullable=False),
    Column("runs", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    **TABLE_OPTIONS,
)
"""Snapshots of groups' runs: `seq` is the entry whose note has the `digest`. Not part of the ledger."""

run_claims = Table(
    "run_claims",
    metadata,
    Column("taskgroup_id", Id, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("run_id", Id, primary_key=True),
    Column("processor", Text),
    Column("status", Text),
    Column("created_at", Time),
    Column("modified_at", Time),
    Column("said", Text, nullable=False),
    **TABLE_OPTIONS,
)
"""The runs of each snapshot. `said` is the whole event; the other columns are read from it."""
