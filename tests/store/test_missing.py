"""Which groups are missing, as all recorders of a database see it."""

from __future__ import annotations

from sqlalchemy import Engine

from recorder.ledger.entries import Action
from recorder.ledger.missing_groups import NONE_MISSING, MissingGroups
from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.store.enrolment import Deadline, cease_watching
from recorder.store.leases import claim_due, release
from recorder.store.missing import NotFoundGroups, read_missing, read_not_found
from recorder.store.transactions import reading, writing
from tests.support.store_samples import OWNER, at, body, enrol, failed, finished, seen, written

MUCH_LATER = at(100_000)


def _missing(engine: Engine) -> MissingGroups:
    with reading(engine) as connection:
        return read_missing(connection)


def _poll(engine: Engine, **outcomes: Observation | Failure) -> None:
    """Poll groups, given without the `tgrp_` of their ids, whether they are due or not."""
    with writing(engine) as connection:
        claims = claim_due(connection, owner=OWNER, now=MUCH_LATER, lease_until=MUCH_LATER, limit=100)
        named = {claim.watch.taskgroup_id.removeprefix("tgrp_"): claim for claim in claims}
        written(connection, *(finished(named[name], outcome) for name, outcome in outcomes.items()))
        release(connection, [OWNER])


def _seen(name: str, seconds: float) -> Observation:
    return seen(body(f"tgrp_{name}", 1), seconds)


def _missed(seconds: float) -> Failure:
    return failed(seconds, Cause.NOT_FOUND, 404)


def test_groups_that_were_seen_before_are_counted(engine: Engine) -> None:
    assert _missing(engine) == NONE_MISSING
    for name in ("a", "b", "c", "unseen"):
        enrol(engine, f"tgrp_{name}")
    _poll(engine, unseen=_missed(1), **{name: _seen(name, 1) for name in ("a", "b", "c")})
    _poll(engine, unseen=_missed(40))
    assert _missing(engine) == NONE_MISSING
    _poll(engine, a=_missed(100), b=_missed(110))
    assert _missing(engine) == NONE_MISSING
    _poll(engine, a=_missed(140))
    assert _missing(engine) == MissingGroups(1, 0, at(100))
    _poll(engine, c=_seen("c", 120))
    assert _missing(engine) == MissingGroups(1, 1, at(100))
    _poll(engine, b=_missed(150), c=_missed(151))
    assert _missing(engine) == MissingGroups(2, 0, at(100))
    _poll(engine, c=_missed(160))
    assert _missing(engine) == MissingGroups(3, 0, at(110))
    assert _missing(engine).together


def test_groups_that_answer_or_fail_otherwise_or_are_not_watched_are_not_missing(engine: Engine) -> None:
    names = ("a", "b", "c")
    for name in names:
        enrol(engine, f"tgrp_{name}")
    _poll(engine, **{name: _seen(name, 1) for name in names})
    for seconds in (100, 140):
        _poll(engine, **{name: _missed(seconds) for name in names})
    assert _missing(engine) == MissingGroups(3, 0, at(100))
    _poll(engine, a=_seen("a", 200))
    assert _missing(engine) == MissingGroups(2, 1, at(100))
    _poll(engine, b=failed(210))
    assert _missing(engine) == MissingGroups(1, 1, at(100))
    cease_watching(
        engine,
        "tgrp_c",
        Action.PAUSED,
        actor="ann",
        note=None,
        now=lambda: at(220),
        deadline=Deadline(0),
    )
    assert _missing(engine) == NONE_MISSING


def test_groups_that_the_last_poll_did_not_find_are_named(engine: Engine) -> None:
    for name in ("a", "b", "c", "d"):
        enrol(engine, f"tgrp_{name}")
    _poll(engine, a=_seen("a", 1), b=_missed(1), c=_seen("c", 1), d=failed(1))
    _poll(engine, c=_missed(40))
    with reading(engine) as connection:
        assert read_not_found(connection, 3) == NotFoundGroups(2, ("tgrp_b", "tgrp_c"))
        assert read_not_found(connection, 1) == NotFoundGroups(2, ("tgrp_b",))
    _poll(engine, b=failed(80), c=_seen("c", 80))
    with reading(engine) as connection:
        assert read_not_found(connection, 3) == NotFoundGroups()
