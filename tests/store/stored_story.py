"""A story that goes through the store at every step, as the recorder and the command line take it there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import count

from sqlalchemy import Engine, delete

from recorder.ledger.body import Body
from recorder.ledger.decision import Rules, Step, fail, observe
from recorder.ledger.entries import Action, Entry
from recorder.ledger.outcome import Cause, Failure, Observation
from recorder.ledger.watch import Watch, WatchState
from recorder.store.claims import Claim, Finished, claim_due, finish, release
from recorder.store.enrolment import Patience, cease_watching, resume_watching, watch_group
from recorder.store.readers import find_group, read_entries
from recorder.store.tables import watches
from recorder.store.transactions import reading, writing
from tests.ledger.samples import RUNNING, moment
from tests.ledger.stories import INTERVAL, RULES, WINDOW, Story

LEASE = timedelta(seconds=60)
_FAR = moment(10**8)
_numbers = count(1)


class StoredStory(Story):
    """Each step is read from the database, decided, and written there; nothing is remembered in between."""

    def __init__(self, engine: Engine, rules: Rules = RULES) -> None:
        self.rules = rules
        self.engine = engine
        self.taskgroup_id = f"tgrp_{next(_numbers)}"
        enrolled = partial(watch_group, engine, self.taskgroup_id, actor="ann", note=None, rules=rules)
        assert enrolled(now=lambda: moment(0)) is Action.STARTED
        assert enrolled(now=lambda: moment(0)) is None

    @property
    def watch(self) -> Watch:  # type: ignore[override]
        with reading(self.engine) as connection:
            group = find_group(connection, self.taskgroup_id)
        assert group is not None
        return group.watch

    @property
    def entries(self) -> list[Entry]:  # type: ignore[override]
        with reading(self.engine) as connection:
            return list(read_entries(connection, self.taskgroup_id))

    def claim(self, at: float, owner: str = "one") -> Claim:
        """Take the group, whenever it is due; whoever had it has lost it."""
        with writing(self.engine) as connection:
            (claim,) = claim_due(connection, owner=owner, now=_FAR, lease_until=moment(at) + LEASE, limit=10)
        return claim

    def finished(self, claim: Claim, step: Step, due: float) -> Finished:
        """What came of a claim, the next poll being due at `due`."""
        watch = step.watch
        if watch.state is WatchState.WATCHING and not watch.failures.attempts:
            gap_at = moment(due + WINDOW)
            watch = replace(watch, due_at=moment(due), gap_at=gap_at, poll_due_at=moment(due))
        elif watch.state is WatchState.WATCHING:
            watch = replace(watch, poll_due_at=moment(due))
        asked = watch.state in {WatchState.WATCHING, WatchState.GONE}
        return Finished(claim, step.entries, watch, moment(due) if asked else None, None)

    def write(self, *results: Finished) -> int:
        """Write results in one transaction; return how many of them held."""
        with writing(self.engine) as connection:
            return len(finish(connection, results))

    def answered(self, claim: Claim, received: float, body: Body, asked: float) -> Finished:
        seen = Observation(moment(asked), moment(received), body)
        return self.finished(claim, observe(claim.watch, seen, self.rules), received + INTERVAL)

    def answer(
        self, received: float, body: Body = RUNNING, *, asked: float | None = None
    ) -> tuple[Entry, ...]:
        asked = received if asked is None else asked
        result = self.answered(self.claim(asked), received, body, asked)
        assert self.write(result) == 1
        return tuple(result.entries)

    def fail(
        self,
        asked: float,
        cause: Cause = Cause.UNREACHABLE,
        *,
        ended: float | None = None,
        retry: float | None = None,
        http_status: int | None = None,
        detail: str = "refused",
    ) -> tuple[Entry, ...]:
        ended = asked if ended is None else ended
        claim = self.claim(asked)
        failure = Failure(moment(asked), moment(ended), cause, http_status, detail)
        step = fail(claim.watch, failure, self.rules)
        result = self.finished(claim, step, ended + 5 if retry is None else retry)
        assert self.write(result) == 1
        return step.entries

    def cease(self, action: Action, at: float, note: str | None = None) -> tuple[Entry, ...]:
        before = len(self.entries)
        cease_watching(
            self.engine,
            self.taskgroup_id,
            action,
            actor="ann",
            note=note,
            now=lambda: moment(at),
            patience=Patience(0),
        )
        return tuple(self.entries[before:])

    def resume(self, at: float) -> tuple[Entry, ...]:
        before = len(self.entries)
        resume_watching(
            self.engine,
            self.taskgroup_id,
            actor="ann",
            note=None,
            now=lambda: moment(at),
            rules=self.rules,
        )
        return tuple(self.entries[before:])

    def restart(self, at: float) -> None:
        """A recorder claims the group and dies; the next one gives the claim back."""
        self.claim(at, owner="dead")
        with writing(self.engine) as connection:
            assert release(connection, ["dead"], moment(at)) == 1

    def end(self) -> None:
        """Take the group out of everybody's way."""
        with writing(self.engine) as connection:
            connection.execute(delete(watches))
