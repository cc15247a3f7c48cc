"""Writing the results of polls, many at once."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from functools import partial

import structlog

from recorder.ledger.entries import Gap, WatchChange
from recorder.ledger.failure_run import NO_FAILURES
from recorder.ledger.watch import WatchState
from recorder.polling.db_writer import DatabaseWriter
from recorder.polling.upstream_health import Counters
from recorder.polling.write_health import WriteKind
from recorder.store.leases import PollResult, write_results
from recorder.store.transactions import DatabaseUnavailableError

WRITE_BATCH = 500
"""The maximum number of results that one transaction writes."""

_NAMED = 10
"""How many gaps written together are logged one by one."""

_log = structlog.get_logger("recorder")


class ResultWriter:
    """Keeps results until they are written, and counts them in `counters`."""

    def __init__(self, writer: DatabaseWriter, counters: Counters) -> None:
        self._writer = writer
        self._counters = counters
        self._results: deque[PollResult] = deque()
        self._flushing = asyncio.Lock()

    @property
    def unwritten(self) -> int:
        """The number of results that wait to be written."""
        return len(self._results)

    def add(self, results: Iterable[PollResult]) -> None:
        """Take results, to be written by the next `flush`."""
        self._results.extend(results)

    async def flush(self) -> None:
        """Write the waiting results. One whose claim was lost is dropped, and its group is polled again.

        Raises:
            DatabaseUnavailableError: results that were not written keep waiting.
        """
        async with self._flushing:
            while batch := self._take_batch():
                try:
                    await self._write(batch)
                except BaseException:
                    # Results that were written after all have lost their claims and are not written twice.
                    self._results.extendleft(reversed(batch))
                    raise

    def _take_batch(self) -> list[PollResult]:
        return [self._results.popleft() for _ in range(min(WRITE_BATCH, len(self._results)))]

    async def _write(self, batch: list[PollResult]) -> None:
        try:
            written = await self._writer.write(
                partial(write_results, batch=batch), WriteKind.RESULTS, wrote=lambda done: bool(done.results)
            )
        except DatabaseUnavailableError:
            raise
        except Exception:
            # Split the batch, so that one result that cannot be written does not affect the others.
            if len(batch) == 1:
                self._counters.error()
                _log.exception(
                    "a result cannot be written because of a bug in the recorder",
                    taskgroup_id=batch[0].watch.taskgroup_id,
                )
                return
            for start in range(0, len(batch), half := (len(batch) + 1) // 2):
                await self._write(batch[start : start + half])
        else:
            self._count(written.results, dropped=len(batch) - len(written.results))

    def _count(self, written: list[PollResult], dropped: int) -> None:
        gaps: list[tuple[str, Gap]] = []
        self._counters.dropped(dropped)
        for watch in (result.claim.watch for result in written):
            # A group that is gone has no failures either, but is polled for the first time no more.
            is_new = watch.in_force is None and watch.state is WatchState.WATCHING
            if is_new and watch.failures == NO_FAILURES:
                _log.info("enrolled", taskgroup_id=watch.taskgroup_id)
        for entry in (entry for result in written for entry in result.entries):
            self._counters.wrote(entry)
            if isinstance(entry.content, Gap):
                gaps.append((entry.taskgroup_id, entry.content))
            elif isinstance(entry.content, WatchChange):
                _log.warning(entry.content.action.value, taskgroup_id=entry.taskgroup_id)
        log_gaps(gaps)


def log_gaps(gaps: Sequence[tuple[str, Gap]]) -> None:
    """Log the gaps of groups that were written together."""
    if len(gaps) > _NAMED:
        # One line for all groups, since an outage of the upstream ends in a gap for every group.
        causes = Counter(gap.cause.value for _, gap in gaps)
        _log.warning("gaps recorded", groups=len(gaps), causes=dict(causes))
        return
    for taskgroup_id, gap in gaps:
        seconds = None if gap.to is None else (gap.to - gap.from_).total_seconds()
        _log.warning("gap recorded", taskgroup_id=taskgroup_id, cause=gap.cause.value, seconds=seconds)
