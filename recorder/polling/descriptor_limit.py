"""Fewer polls at once while file descriptors are scarce."""

from __future__ import annotations

import structlog

_log = structlog.get_logger("recorder")


class DescriptorLimit:
    """Limits how many polls run at once: half of those that ran when descriptors ran out, then ever more."""

    def __init__(self, most_at_once: int) -> None:
        self._most_at_once = most_at_once
        self.allowed = most_at_once

    def ran_out(self, in_flight: int) -> None:
        """Take note that a poll could not be made while `in_flight` were running, this one included."""
        if self.allowed == self._most_at_once:
            _log.error("no file descriptor is left: polls are put off; raise the limit (ulimit -n)")
        self.allowed = max(1, min(self.allowed - 1, in_flight // 2))

    def polled(self) -> None:
        """Take note of a poll that was made."""
        if self.allowed < self._most_at_once:
            self.allowed += 1
            if self.allowed == self._most_at_once:
                _log.info("file descriptors suffice again")
