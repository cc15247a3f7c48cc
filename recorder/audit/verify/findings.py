"""The findings of a verification, and what each kind means."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class ProblemKind(StrEnum):
    DIGEST_MISMATCH = "digest_mismatch"
    MISSING_ENTRY = "missing_entry"
    TRUNCATED = "truncated"
    UNREADABLE = "unreadable"
    DERIVED_MISMATCH = "derived_mismatch"


MEANINGS = {
    ProblemKind.DIGEST_MISMATCH: "a recorded entry was altered",
    ProblemKind.MISSING_ENTRY: "a recorded entry was removed",
    ProblemKind.TRUNCATED: "the newest entries, or the end of the open interval, were removed",
    ProblemKind.UNREADABLE: "the entry is not one that a recorder writes",
    ProblemKind.DERIVED_MISMATCH: "data derived from the ledger does not match it",
}
"""A short explanation of each problem."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A problem with a ledger at its entry `seq`; `detail` is one line for people.

    `is_lost_end` says that only a comparison with a checkpoint shows it: the end that the ledger had then is
    gone, and what is there now may well be in order by itself.
    """

    taskgroup_id: str
    seq: int
    problem: ProblemKind
    detail: str
    is_lost_end: bool = field(default=False, compare=False)

    def members(self) -> dict[str, Any]:
        """Return the finding as JSON values, with invalid UTF-8 escaped."""
        return {
            "taskgroup_id": _utf8(self.taskgroup_id),
            "seq": self.seq,
            "problem": self.problem.value,
            "detail": _utf8(self.detail),
        }


def _utf8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
