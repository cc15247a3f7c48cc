"""Answers from caches: whether one shows more than was seen already."""

from __future__ import annotations

from datetime import timedelta

from recorder.ledger.poll_outcome import Cause, Failure, Observation
from recorder.ledger.watch import Watch

_AGE_UNIT = timedelta(seconds=1)
_OK = 200


def stale_failure(watch: Watch, seen: Observation) -> Failure | None:
    """Return `seen` as a failure if it came from a cache and is no newer than the last sight, else None.

    An age is a whole number of seconds, rounded down: the copy of an answer that was seen already can look up
    to a second newer than it. A clock that was set back says nothing about what is newer.
    """
    if not seen.age or seen.received_at < watch.sight_at:
        return None
    known = watch.in_force
    is_same = watch.open is not None and known is not None and known.fingerprint == seen.body.fingerprint
    newer_by = seen.observed_at - watch.sight_at
    if newer_by >= _AGE_UNIT or (newer_by > timedelta() and not is_same):
        return None
    seconds = seen.age // _AGE_UNIT
    detail = f"an answer from a cache, {seconds} s old: no newer than what was last seen"
    return Failure(seen.asked_at, seen.received_at, Cause.STALE, _OK, detail)
