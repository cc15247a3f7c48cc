"""What a verification can find, and what each finding means."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class ProblemKind(StrEnum):
    DIGEST_MISMATCH = "digest_mismatch"
    MISSING_ENTRY = "missing_entry"
    TRUNCATED = "truncated"
    UNREADABLE = "unreadable"
    DERIVED_MISMATCH = "derived_mismatch"


MEANINGS = {
    ProblemKind.DIGEST_MISMATCH: "what was recorded was altered",
    ProblemKind.MISSING_ENTRY: "what was recorded was taken away",
    ProblemKind.TRUNCATED: "the end of what was recorded was cut off",
    ProblemKind.UNREADABLE: "what stands there is no entry that a recorder writes",
    ProblemKind.DERIVED_MISMATCH: "what is kept beside the ledger does not agree with it",
}
"""Each problem in words."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something wrong with a ledger, at its entry `seq`; `detail` is a line for people."""

    taskgroup_id: str
    seq: int
    problem: ProblemKind
    detail: str

    def members(self) -> dict[str, Any]:
        """Return it as JSON values; what of a text is no UTF-8 is escaped."""
        return {
            "taskgroup_id": _utf8(self.taskgroup_id),
            "seq": self.seq,
            "problem": self.problem.value,
            "detail": _utf8(self.detail),
        }


def _utf8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
