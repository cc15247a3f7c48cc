"""Whether what is kept beside a ledger is what the ledger says: its watch row, and all that is derived."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from recorder.audit.invariants import check_due, check_interval
from recorder.audit.verify.findings import ProblemKind
from recorder.audit.verify.ledger_check import Walk
from recorder.audit.verify.raw_rows import RawRow, as_stored
from recorder.audit.verify.row_decoder import UNDECODABLE, differing, moment_of
from recorder.ledger.entries import Interval
from recorder.ledger.watch import Head, WatchState
from recorder.store.derived import episode_row, label_rows, open_episode_rows, summary_row

Rows = Iterable[RawRow]

_MOST_NAMED = 3
_INTERVAL = ("last_asked_at", "last_seen_at", "polls")


@dataclass(frozen=True, slots=True)
class Beside:
    """What the database has beside a group's ledger; `labelled` says whether its labelled durations are
    those of its episodes and labels. `episodes` are those that were not compared yet."""

    watches: Rows
    summaries: Rows
    episodes: Rows
    labels: Rows
    labelled: bool


def compare_ended(walk: Walk, episodes: Rows) -> None:
    """Compare the episodes that ended since the last time; they never change any more."""
    if walk.intact:
        ended = (episode_row(walk.taskgroup_id, episode) for episode in walk.fold.ended)
        walk.episodes_differ += _compared("number", ended, episodes)
    walk.fold.ended.clear()


def check_derived(walk: Walk, beside: Beside) -> None:
    """Judge what stands beside a ledger that was gone through to its end, by the same snapshot."""
    row = next(iter(beside.watches), None)
    _judge_length(walk, row)
    _judge_checkpoint(walk, row)
    if not walk.intact:
        return
    if walk.seq:
        _judge_watch(walk, row)
    _judge_derived(walk, beside)


def _judge_length(walk: Walk, row: RawRow | None) -> None:
    named = {} if row is None or type(row["head_seq"]) is not int else {"watch row": row["head_seq"]}
    if walk.checkpoint is not None:
        named["checkpoint"] = walk.checkpoint.seq
    source = max(named, key=lambda name: named[name], default=None)
    if source is None or named[source] <= walk.seq:
        return
    first, last = walk.seq + 1, named[source]
    words = f"entry {first} is" if first == last else f"entries {first} to {last} are"
    if walk.seq == 0 and row is None:
        words = "the group is not in the database, which may be another one than the checkpoint's;"
        words += f" entries 1 to {last} are"
    walk.harmed(first, ProblemKind.TRUNCATED, f"{words} missing, which the {source} names")


def _judge_checkpoint(walk: Walk, row: RawRow | None) -> None:
    known = walk.checkpoint
    if known is not None and known.seq == walk.seq:
        walk.compare_interval(_open_interval(row))


def _judge_watch(walk: Walk, row: RawRow | None) -> None:
    if row is None:
        _differs(walk, "watches", ["the group's row is missing"])
        return
    head, force = walk.fold.replay.head, walk.fold.replay.in_force
    if head is None or walk.fold.replay.state is None:
        _differs(walk, "watches", ["the ledger does not begin with a watch"])
        return
    right = {
        "state": walk.fold.replay.state.value,
        "enrolled_at": walk.enrolled_at,
        "head_seq": head.seq,
        "head_kind": head.kind.value,
        "head_at": head.at,
        "head_digest": head.digest,
        "status_seq": force and force.seq,
        "fingerprint": force and force.fingerprint,
        "phase": force and force.phase.value,
        "finished": force and force.finished,
        "modified_at": force and force.modified_at,
    }
    wrong = [words for name, value in as_stored(right).items() for words in differing(name, row[name], value)]
    wrong += _wrong_beside_head(row, head, walk.fold.replay.state)
    _differs(walk, "watches", wrong)


def _wrong_beside_head(row: RawRow, head: Head, state: WatchState) -> Iterator[str]:
    """Say what is wrong with what a watch row alone knows: its open interval, and when a poll is due."""
    interval = _open_interval(row)
    if interval is None and any(row[name] is not None for name in _INTERVAL):
        yield "the interval cannot be read"
        return
    try:
        check_interval(interval, head.kind, head.at, "the interval")
        check_due(moment_of(row["due_at"]), state)
    except UNDECODABLE as error:
        yield str(error)


def _judge_derived(walk: Walk, beside: Beside) -> None:
    name, summary = walk.taskgroup_id, walk.fold.summary
    there = walk.seq > 0
    summed = [summary_row(name, summary)] if there else []
    _differs(walk, "summaries", _compared("taskgroup_id", summed, beside.summaries))
    ended = [episode_row(name, episode) for episode in walk.fold.ended]
    lasting = open_episode_rows(name, summary.work)
    wrong = walk.episodes_differ + _compared("number", [*ended, *lasting], beside.episodes)
    walk.fold.ended.clear()
    _differs(walk, "episodes", wrong)
    labels = _compared("key", label_rows(name, summary), beside.labels)
    _differs(walk, "group_labels", labels)
    if not wrong and not labels and not beside.labelled:
        _differs(walk, "labelled_durations", ["they are not those of its episodes and labels"])


def _compared(key: str, right: Rows, stored: Rows) -> list[str]:
    """Say how the rows of one table and group differ from the right ones, row by row."""
    there = {row[key]: row for row in stored}
    wrong = []
    for row in map(as_stored, right):
        found = there.pop(row[key], None)
        if found is None:
            wrong.append(f"{key} {row[key]!a} is missing")
        else:
            wrong += [
                f"{key} {row[key]!a}: {words}"
                for name, value in row.items()
                for words in differing(name, found[name], value)
            ]
    return [*wrong, *(f"{key} {name!a} is none of the ledger's" for name in there)]


def _open_interval(row: RawRow | None) -> Interval | None:
    if row is None:
        return None
    try:
        asked, seen = moment_of(row["last_asked_at"]), moment_of(row["last_seen_at"])
    except UNDECODABLE:
        return None
    if asked is None or seen is None or type(row["polls"]) is not int:
        return None
    return Interval(asked, seen, row["polls"])


def _differs(walk: Walk, table: str, wrong: list[str]) -> None:
    if wrong:
        more = len(wrong) - _MOST_NAMED
        words = "; ".join(wrong[:_MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")
        walk.finding(max(walk.seq, 1), ProblemKind.DERIVED_MISMATCH, f"{table}: {words}")
