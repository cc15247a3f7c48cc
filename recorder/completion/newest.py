"""The newest state seen in a stretch of work: what tells an older state from a younger one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from recorder.ledger.anomalies import Anomaly
from recorder.ledger.derivation import comparable_modified_at
from recorder.ledger.entries import StatusContent
from recorder.ledger.status_fields import Phase, finished_runs
from recorder.ledger.value_class import value_class


@value_class
class Newest:
    """The most runs that had finished, and the latest `modified_at`; None where none is known."""

    finished: int | None = None
    modified_at: datetime | None = None

    def shows_clearly(self, status: StatusContent) -> bool:
        """Whether `status` says where the work stands.

        It does not if it is unclear, the body of another group, or an older state, such as that of a replica
        that lags behind.
        """
        if status.fields.phase is Phase.UNCLEAR or Anomaly.ID_MISMATCH in status.anomalies:
            return False
        return not self._is_newer_than(status)

    def with_status(self, status: StatusContent, observed_at: datetime) -> Newest:
        """Return the newest state after `status`."""
        if Anomaly.ID_MISMATCH in status.anomalies:
            return self
        said = self.restarted(status, observed_at)
        return Newest(_greater(self.finished, said.finished), _greater(self.modified_at, said.modified_at))

    def restarted(self, status: StatusContent, observed_at: datetime) -> Newest:
        """Return the state with which `status` begins a new stretch; what it does not report stays."""
        finished, modified_at = _finished(status), comparable_modified_at(status, observed_at)
        return Newest(
            self.finished if finished is None else finished,
            self.modified_at if modified_at is None else modified_at,
        )

    def _is_newer_than(self, status: StatusContent) -> bool:
        finished, modified_at = _finished(status), status.fields.modified_at
        return (
            finished is not None
            and modified_at is not None
            and self.finished is not None
            and self.modified_at is not None
            and finished < self.finished
            and modified_at < self.modified_at
        )


def _finished(status: StatusContent) -> int | None:
    return finished_runs(status.body.value["status"])


def _greater(before: Any, after: Any) -> Any:
    """Return the greater of two values, of which the first may be None, and the second only with it."""
    return after if before is None else max(before, after)
