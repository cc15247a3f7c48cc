"""Hot standbys: readers work on them and judge by the age of the data, and recorders leave them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Engine, text, update

from api.app import create_app
from recorder.cli.output import console
from recorder.cli.output.warnings import warnings
from recorder.clock import utc_now
from recorder.store.data_time import DataTime, data_time
from recorder.store.engine import check_url, open_engine
from recorder.store.enrolment import watch_group
from recorder.store.heartbeats import ALIVE_SECONDS, Heartbeat, beat, heartbeats
from recorder.store.migrate import upgrade
from recorder.store.tables import watches
from recorder.store.transactions import DatabaseUnavailableError, reading, writing
from tests.support.api_client import Client
from tests.support.forker import Forker
from tests.support.postgres import running_postgres, running_standby
from tests.support.program import Program, wait_until
from tests.support.recording import RULES

ANY_COMMIT = "UPDATE recorders SET counters = counters"
MARGIN_SECONDS, OLD_SECONDS = 4, 5
READERS = [
    ("groups",),
    ("groups", "--json"),
    ("status", "group"),
    ("history", "group"),
    ("gaps", "group"),
    ("completion",),
    ("completion", "group"),
    ("verify",),
    ("checkpoint",),
    ("export",),
    ("db", "current"),
    ("db", "upgrade"),
]


@dataclass(frozen=True, slots=True)
class Pair:
    """The URLs of a primary and of its standby."""

    primary: str
    standby: str

    def on_primary(self, statement: str) -> None:
        with psycopg.connect(self.primary, autocommit=True) as server:
            server.execute(statement.encode())

    def on_standby(self, statement: str) -> None:
        with psycopg.connect(self.standby, autocommit=True) as server:
            server.execute(statement.encode())

    def catch_up(self) -> None:
        """Wait until the standby has everything."""
        with psycopg.connect(self.primary, autocommit=True) as server:
            (end,) = server.execute("SELECT pg_current_wal_lsn()").fetchone() or ("",)
        with psycopg.connect(self.standby, autocommit=True) as server:
            asked = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
            wait_until(lambda: server.execute(asked, [end]).fetchone() == (True,) or None, "the standby")


@contextmanager
def running_pair() -> Iterator[Pair]:
    with running_postgres() as primary:
        with psycopg.connect(primary, autocommit=True) as server:
            # Otherwise commits would wait a while before they are sent.
            server.execute("ALTER SYSTEM SET synchronous_commit = local")
            server.execute("SELECT pg_reload_conf()")
        with running_standby(primary) as standby:
            yield Pair(primary, standby)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """A primary with the schema and one group, and a standby."""
    with running_pair() as pair:
        with opened(pair.primary) as engine:
            upgrade(engine)
            watch_group(engine, "group", actor="ada", note=None, now=utc_now, rules=RULES)
        yield pair


@contextmanager
def opened(url: str, *, read_only: bool = False, primary: bool = False) -> Iterator[Engine]:
    engine = open_engine(check_url(url), read_only=read_only, primary=primary)
    try:
        yield engine
    finally:
        engine.dispose()


def time_on(url: str) -> DataTime:
    with opened(url, read_only=True) as engine, reading(engine) as connection:
        return data_time(connection)


def aged(url: str, seconds: float) -> bool | None:
    return time_on(url).age_seconds >= seconds or None


def record(pair: Pair, *, beat_before: float, gap_after: float) -> None:
    """Have a recorder say that it lives, some seconds ago, and expect a response in some seconds."""
    now = utc_now()
    sign = Heartbeat("one", "host", 1, now, now - timedelta(seconds=beat_before), {}, {})
    with opened(pair.primary) as engine, writing(engine) as connection:
        beat(connection, sign)
        connection.execute(update(watches).values(gap_at=now + timedelta(seconds=gap_after)))


@contextmanager
def paused(pair: Pair) -> Iterator[None]:
    """Keep the standby from replaying during the block, while the primary goes on."""
    pair.catch_up()
    pair.on_standby("SELECT pg_wal_replay_pause()")
    try:
        pair.on_primary(ANY_COMMIT)
        yield
    finally:
        pair.on_standby("SELECT pg_wal_replay_resume()")
        pair.catch_up()


@contextmanager
def configured(pair: Pair, setting: str, value: str) -> Iterator[None]:
    """Change a setting of the standby for the duration of the block."""
    with psycopg.connect(pair.standby, autocommit=True) as server:

        def configure(text: object) -> None:
            change = sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(setting), sql.Literal(text))
            server.execute(change)
            server.execute("SELECT pg_reload_conf()")

        (before,) = server.execute("SELECT current_setting(%s)", [setting]).fetchone() or ("",)
        configure(value)
        try:
            yield
        finally:
            configure(before)


def test_readers_judge_by_the_age_of_the_data(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record(pair, beat_before=ALIVE_SECONDS - MARGIN_SECONDS, gap_after=MARGIN_SECONDS)
    with opened(pair.standby, read_only=True) as engine:
        client = Client(create_app(engine))
        with paused(pair):
            first = client.get_response("/api/v1/groups/group")
            wait_until(lambda: aged(pair.standby, OLD_SECONDS), "the data to be old")
            found = client.get_response("/api/v1/groups/group")
            assert found.get_json()["open_gap"] is None
            assert int(found.headers["Age"]) >= OLD_SECONDS
            assert found.headers["ETag"] == first.headers["ETag"]
            assert client.get("/api/v1/groups?late=true")["items"] == []
            assert client.get("/api/v1/groups/group/gaps")["items"] == []
            assert "recorder_open_gaps 0.0" in client.request("GET", "/metrics").get_data(as_text=True)
            monkeypatch.setenv("RECORDER_READ_DATABASE_URL", pair.standby)
            monkeypatch.setattr(console, "_OLD_SECONDS", OLD_SECONDS)
            recorders, now = console.answer(lambda connection, now: (heartbeats(connection), now))
            assert warnings(recorders, now) == []
            assert "s old" in capsys.readouterr().err
        pair.on_primary(ANY_COMMIT)
        pair.catch_up()
        assert client.get("/api/v1/groups/group")["open_gap"]["cause"] == "not_polled"


def test_a_primary_without_changes_is_not_old(pair: Pair) -> None:
    record(pair, beat_before=0, gap_after=1)
    with configured(pair, "wal_receiver_timeout", "2s"):
        wait_until(lambda: aged(pair.standby, 1), "doubt about the data")
        wait_until(lambda: time_on(pair.standby).age_seconds == 0 or None, "the primary to count as silent")
    assert time_on(pair.primary).age_seconds == 0


def test_without_its_primary_a_standby_grows_old(pair: Pair) -> None:
    with (
        configured(pair, "wal_receiver_timeout", "1s"),
        configured(pair, "primary_conninfo", "host=127.0.0.1 port=1"),
    ):
        wait_until(lambda: aged(pair.standby, 3), "the data to be old")
    recorded_at = utc_now()
    record(pair, beat_before=0, gap_after=1)
    pair.catch_up()
    assert time_on(pair.standby).at >= recorded_at


def test_commands_on_a_standby(pair: Pair, tmp_path: Path, forker: Forker) -> None:
    pair.catch_up()
    program = Program(tmp_path, forker, {"RECORDER_DATABASE_URL": pair.standby})
    for arguments in READERS:
        result = program.run(*arguments)
        assert result.status == 0, (arguments, result)
    for arguments in (("watch", "another"), ("db", "check")):
        assert "read-only" in program.run(*arguments).complaint()


def test_a_recorder_leaves_a_server_that_becomes_read_only() -> None:
    with running_pair() as pair:
        old, new = (urlsplit(url) for url in (pair.primary, pair.standby))
        several = f"postgresql://postgres@{old.hostname}:{old.port},{new.hostname}:{new.port}/postgres"
        with opened(several) as engine:
            upgrade(engine)
            sign = Heartbeat("one", "host", 1, utc_now(), utc_now(), {}, {})
            with writing(engine) as first, writing(engine) as second:
                first.execute(text("SELECT 1"))
                second.execute(text("SELECT 1"))
            backwards = f"postgresql://postgres@{new.hostname}:{new.port},{old.hostname}:{old.port}/postgres"
            for primary, port in ((True, old.port), (False, new.port)):
                with (
                    opened(backwards, read_only=True, primary=primary) as reader,
                    reading(reader) as connection,
                ):
                    assert connection.scalar(text("SELECT inet_server_port()")) == port
            pair.catch_up()
            pair.on_primary("ALTER SYSTEM SET default_transaction_read_only = on")
            pair.on_primary("SELECT pg_reload_conf()")
            pair.on_standby("SELECT pg_promote()")
            with (
                pytest.raises(DatabaseUnavailableError, match="connects anew"),
                writing(engine) as connection,
            ):
                beat(connection, sign)
            with writing(engine) as connection:
                beat(connection, sign)
                assert connection.scalar(text("SELECT inet_server_port()")) == new.port
