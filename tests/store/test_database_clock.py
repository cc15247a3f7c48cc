"""The clock that machines share through their database, whatever their own clocks say."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine

from recorder.clock import steady_seconds, utc_now
from recorder.store import database_clock
from recorder.store.database_clock import DatabaseClock, measured_clock
from recorder.store.transactions import DatabaseUnavailableError, reading

ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
CLOSE = timedelta(seconds=1)


class Machine:
    """A machine whose clock a test can set."""

    def __init__(self, ahead: float = 0) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        return utc_now() + timedelta(seconds=self.ahead)


@pytest.mark.parametrize("ahead", [600, 40, -600, 86400 * 400])
@ON_POSTGRESQL
def test_a_machine_with_a_wrong_clock_uses_the_time_of_the_database(engine: Engine, ahead: float) -> None:
    clock = DatabaseClock(Machine(ahead).now)
    assert not clock.ready and clock.offset_seconds() is None
    with reading(engine) as connection:
        clock.measure(connection)
    assert clock.ready
    assert abs(clock() - utc_now()) < CLOSE
    assert clock.offset_seconds() == pytest.approx(ahead, abs=1)


@ON_POSTGRESQL
def test_setting_the_clock_of_a_machine_changes_nothing(engine: Engine) -> None:
    machine = Machine()
    clock = DatabaseClock(machine.now)
    with reading(engine) as connection:
        clock.measure(connection)
        machine.ahead = 3600
        assert abs(clock() - utc_now()) < CLOSE
        assert clock.offset_seconds() == pytest.approx(3600, abs=1)
        clock.measure(connection)
    assert abs(clock() - utc_now()) < CLOSE


@ON_POSTGRESQL
def test_a_machine_on_time_keeps_its_own_clock(engine: Engine) -> None:
    clock = DatabaseClock()
    with reading(engine) as connection:
        for _ in range(20):
            clock.measure(connection)
    assert clock.offset_seconds() == pytest.approx(0, abs=0.05)


@ON_POSTGRESQL
def test_when_the_database_is_set_so_is_its_clock(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = measured_clock(engine)
    set_by = "SELECT clock_timestamp() + interval '1 hour'"
    with reading(engine) as connection:
        monkeypatch.setattr("recorder.store.dialects.postgresql.PostgreSQL.clock_query", set_by)
        clock.measure(connection)
    assert abs(clock() - utc_now() - timedelta(hours=1)) < CLOSE
    assert clock.offset_seconds() == pytest.approx(-3600, abs=1)


@ON_POSTGRESQL
def test_a_slow_answer_is_not_believed(engine: Engine) -> None:
    passed = iter(3.0 * n for n in range(1000))
    slow = DatabaseClock(Machine(600).now, lambda: next(passed))
    with reading(engine) as connection:
        slow.measure(connection)
    assert not slow.ready and slow.offset_seconds() is None


@ON_POSTGRESQL
def test_a_slow_answer_leaves_the_last_measurement(engine: Engine) -> None:
    delay = 0.0

    def steady() -> float:
        nonlocal waited
        waited += delay
        return steady_seconds() + waited

    waited, machine = 0.0, Machine(600)
    clock = DatabaseClock(machine.now, steady)
    with reading(engine) as connection:
        clock.measure(connection)
        machine.ahead, delay = 0, 3.0
        clock.measure(connection)
        delay = 0.0
    # The steady clock was slowed down by the test for each of its readings.
    assert (clock() - utc_now()).total_seconds() == pytest.approx(waited, abs=1)


def test_a_command_refuses_a_database_that_takes_too_long(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_clock, "MAX_ROUND_TRIP_SECONDS", -1)
    if engine.dialect.name == "sqlite":
        assert measured_clock(engine).ready
    else:
        with pytest.raises(DatabaseUnavailableError, match="to tell the time"):
            measured_clock(engine)


@ON_SQLITE
def test_a_file_is_used_by_one_machine_alone(engine: Engine) -> None:
    machine = Machine(600)
    clock = DatabaseClock(machine.now)
    with reading(engine) as connection:
        clock.measure(connection)
    assert clock.ready and clock.offset_seconds() == 0
    assert abs(clock() - machine.now()) < CLOSE
