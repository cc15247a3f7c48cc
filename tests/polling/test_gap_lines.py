"""The log names the groups of new gaps, unless there are many."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from recorder.ledger.entries import Gap
from recorder.ledger.poll_outcome import Cause
from recorder.polling.result_writer import log_gaps
from tests.support.recording import after


def _lines(gaps: int) -> list[dict[str, Any]]:
    found = [
        (f"tgrp_{number}", Gap(after(0), after(number + 1.5), Cause.TIMEOUT, 1, 0.0, None, None))
        for number in range(gaps)
    ]
    with capture_logs() as lines:
        log_gaps(found)
    return [dict(line) for line in lines]


@pytest.mark.parametrize("gaps", [0, 1, 10])
def test_each_gap_has_a_line_with_its_group(gaps: int) -> None:
    assert _lines(gaps) == [
        {
            "event": "gap recorded",
            "log_level": "warning",
            "taskgroup_id": f"tgrp_{number}",
            "cause": "timeout",
            "seconds": number + 1.5,
        }
        for number in range(gaps)
    ]


def test_many_gaps_share_a_line() -> None:
    (line,) = _lines(11)
    assert (line["event"], line["groups"], line["causes"]) == ("gaps recorded", 11, {"timeout": 11})
