"""What is derived from a response body when it is recorded, given the responses before it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from recorder.ledger.anomalies import Anomaly, anomalies_of
from recorder.ledger.entries import StatusContent
from recorder.ledger.response_body import ResponseBody
from recorder.ledger.status_fields import RULES, Phase, finished_runs, read_body
from recorder.ledger.timestamps import is_plausible
from recorder.ledger.watch import InForce

_COMPARED_WITH_NEWEST = 2
"""Since these rules, an older state is not what the next response is compared with."""
_LARGEST_SKEW = timedelta(days=1)
"""How far a clock of the upstream may be ahead of ours."""
_OLDER = frozenset({Anomaly.COUNTS_DECREASED, Anomaly.MODIFIED_AT_REGRESSED})


def derive(
    taskgroup_id: str, body: ResponseBody, before: InForce | None, at: datetime, *, clock_regressed: bool
) -> StatusContent:
    """Return a status of `taskgroup_id` that was first seen `at`, while `before` was in force."""
    fields = read_body(body)
    anomalies = anomalies_of(
        body,
        fields,
        taskgroup_id=taskgroup_id,
        observed_at=at,
        finished_before=before.finished if before else None,
        modified_before=before.modified_at if before else None,
        clock_regressed=clock_regressed,
    )
    if Anomaly.ID_MISMATCH in anomalies:
        fields = replace(fields, phase=Phase.UNCLEAR)
    return StatusContent(body, fields, anomalies, RULES)


def in_force_after(seq: int, status: StatusContent, before: InForce | None, at: datetime) -> InForce:
    """Return what is in force after the status entry `seq`, first seen `at`, if `before` was in force."""
    fingerprint = status.body.fingerprint
    finished, modified_at = _progress_after(status, before, at)
    unchanged = before is not None and before.fingerprint == fingerprint
    quiet_since = before.quiet_since if before is not None and unchanged else at
    return InForce(seq, fingerprint, status.fields.phase, finished, modified_at, quiet_since)


def comparable_modified_at(status: StatusContent, observed_at: datetime) -> datetime | None:
    """Return the `modified_at` of a status if later ones can be compared with it, else None.

    One far in the future would make all of them look older.
    """
    modified_at = status.fields.modified_at
    if modified_at is None or not is_plausible(modified_at) or modified_at > observed_at + _LARGEST_SKEW:
        return None
    return modified_at


def _progress_after(
    status: StatusContent, before: InForce | None, at: datetime
) -> tuple[int | None, datetime | None]:
    """Return how many runs had finished and when the group was modified, as far as is known."""
    known = (None, None) if before is None else (before.finished, before.modified_at)
    finished, modified_at = finished_runs(status.body.value["status"]), status.fields.modified_at
    if status.rules >= _COMPARED_WITH_NEWEST:
        if Anomaly.ID_MISMATCH in status.anomalies or _OLDER.issubset(status.anomalies):
            return known
        modified_at = comparable_modified_at(status, at)
    return known[0] if finished is None else finished, known[1] if modified_at is None else modified_at
