"""A database that a subscription feeds is read, but never written to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from tests.support.databases import postgres_database
from tests.support.forker import Forker
from tests.support.program import Program


@contextmanager
def subscription(source: str, target: str) -> Iterator[None]:
    """Subscribe one database to the ledger of another, without a slot, so that nothing is copied."""
    with (
        psycopg.connect(source, autocommit=True) as publisher,
        psycopg.connect(target, autocommit=True) as subscriber,
    ):
        publisher.execute("CREATE PUBLICATION ledger FOR TABLE entries, watches")
        subscriber.execute(
            sql.SQL(
                "CREATE SUBSCRIPTION ledger_copy CONNECTION {} PUBLICATION ledger "
                "WITH (enabled = false, create_slot = false, slot_name = NONE, copy_data = false)"
            ).format(source)
        )
        try:
            yield
        finally:
            subscriber.execute("DROP SUBSCRIPTION ledger_copy")


def test_commands_that_write_refuse_it(
    tmp_path: Path, forker: Forker, postgres: str, postgres_template: str
) -> None:
    with (
        postgres_database(postgres, "published", postgres_template) as source,
        postgres_database(postgres, "subscribed", postgres_template) as target,
    ):
        program = Program(tmp_path, forker, {"RECORDER_DATABASE_URL": target, "PARALLEL_API_KEY": "k"})
        with subscription(source, target):
            for words in (("watch", "one"), ("run", "--once")):
                line = program.run(*words).complaint()
                assert "logical replica" in line and "ledger_copy" in line
            assert program.run("groups").status == 0
            assert program.run("db", "upgrade").status == 0
        assert program.run("watch", "one").status == 0
