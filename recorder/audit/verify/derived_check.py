"""Check what the database keeps beside a ledger: its watch row and everything derived from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

from recorder.audit.invariants import check_due, check_interval
from recorder.audit.verify.findings import ProblemKind
from recorder.audit.verify.ledger_check import LedgerCheck
from recorder.audit.verify.raw_rows import RawRow, as_stored
from recorder.audit.verify.row_decoder import UNDECODABLE, differing, moment_of
from recorder.completion.episodes import open_milestones
from recorder.ledger.entries import Interval
from recorder.ledger.watch import Head, WatchState
from recorder.store.derived import label_rows, summary_row
from recorder.store.episode_rows import episode_row, milestone_rows, open_episode_rows

Rows = Iterable[RawRow]

_MOST_REPORTED = 3
_MILESTONE = ("episode", "fraction")
_INTERVAL = ("last_asked_at", "last_seen_at", "polls")


@dataclass(frozen=True, slots=True)
class GroupRows:
    """The rows that the database has beside a group's ledger.

    `episodes` and `milestones` are those that were not compared yet. `is_labelled` says whether the group's
    labelled durations are those of its episodes and labels.
    """

    watches: Rows
    summaries: Rows
    episodes: Rows
    milestones: Rows
    labels: Rows
    is_labelled: bool


def compare_ended(ledger: LedgerCheck, rows: GroupRows) -> None:
    """Compare the episodes that ended since the last call; they no longer change."""
    if ledger.intact:
        ended = (episode_row(ledger.taskgroup_id, episode) for episode in ledger.ended)
        ledger.wrong_episodes += _compare(["number"], ended, rows.episodes)
        ledger.wrong_milestones += _compare(_MILESTONE, _ended_milestones(ledger), rows.milestones)
    ledger.ended.clear()


def check_derived(ledger: LedgerCheck, rows: GroupRows) -> None:
    """Check the rows beside a ledger that was read to its end in the same snapshot."""
    watch = next(iter(rows.watches), None)
    _check_length(ledger, watch)
    _check_checkpoint(ledger, watch)
    if not ledger.intact:
        return
    if ledger.seq:
        _check_watch(ledger, watch)
    _check_tables(ledger, rows)


def _check_length(ledger: LedgerCheck, watch: RawRow | None) -> None:
    named = {} if watch is None or type(watch["head_seq"]) is not int else {"watch row": watch["head_seq"]}
    if ledger.checkpoint is not None:
        named["checkpoint"] = ledger.checkpoint.seq
    source = max(named, key=lambda name: named[name], default=None)
    if source is None or named[source] <= ledger.seq:
        return
    first, last = ledger.seq + 1, named[source]
    missing = f"entry {first} is" if first == last else f"entries {first} to {last} are"
    detail = f"{missing} missing, which the {source} names"
    if ledger.seq == 0 and watch is None:
        detail = f"the group is unknown, or the checkpoint is of another database: {detail}"
    ledger.report_harm(first, ProblemKind.TRUNCATED, detail, is_lost_end=source == "checkpoint")


def _check_checkpoint(ledger: LedgerCheck, watch: RawRow | None) -> None:
    known = ledger.checkpoint
    if known is not None and known.seq == ledger.seq:
        ledger.compare_interval(_open_interval(watch))


def _check_watch(ledger: LedgerCheck, watch: RawRow | None) -> None:
    if watch is None:
        _report(ledger, "watches", ["the group's row is missing"])
        return
    head, state, force = ledger.replay.head, ledger.replay.state, ledger.replay.in_force
    if head is None or state is None:
        _report(ledger, "watches", ["the ledger does not begin with a watch entry"])
        return
    right = {
        "state": state.value,
        "enrolled_at": ledger.enrolled_at,
        "head_seq": head.seq,
        "head_kind": head.kind.value,
        "head_at": head.at,
        "head_digest": head.digest,
        "status_seq": force and force.seq,
        "fingerprint": force and force.fingerprint,
        "phase": force and force.phase.value,
        "finished": force and force.finished,
        "modified_at": force and force.modified_at,
        "expected_runs": ledger.replay.expected.runs,
        "expected_by": ledger.replay.expected.by,
        "earlier_sight_at": ledger.replay.earlier_sight,
    }
    wrong = [
        detail for name, value in as_stored(right).items() for detail in differing(name, watch[name], value)
    ]
    wrong += _check_open_interval(watch, head, state)
    _report(ledger, "watches", wrong)


def _check_open_interval(watch: RawRow, head: Head, state: WatchState) -> Iterator[str]:
    """Describe what is wrong with the columns that only a watch row has."""
    interval = _open_interval(watch)
    if interval is None and any(watch[name] is not None for name in _INTERVAL):
        yield "the interval cannot be read"
        return
    try:
        check_interval(interval, head.kind, head.at, "the interval")
        check_due(moment_of(watch["due_at"]), state)
    except UNDECODABLE as error:
        yield str(error)


def _check_tables(ledger: LedgerCheck, rows: GroupRows) -> None:
    taskgroup_id, summary = ledger.taskgroup_id, ledger.summary
    summaries = [summary_row(taskgroup_id, summary)] if ledger.seq else []
    _report(ledger, "summaries", _compare(["taskgroup_id"], summaries, rows.summaries))
    ended = [episode_row(taskgroup_id, episode) for episode in ledger.ended]
    still_open = open_episode_rows(taskgroup_id, summary.work)
    wrong = ledger.wrong_episodes + _compare(["number"], [*ended, *still_open], rows.episodes)
    _report(ledger, "episodes", wrong)
    ahead = milestone_rows(taskgroup_id, summary.work.episodes + 1, open_milestones(summary.work))
    milestones = [*_ended_milestones(ledger), *ahead]
    wrong_milestones = ledger.wrong_milestones + _compare(_MILESTONE, milestones, rows.milestones)
    _report(ledger, "milestones", wrong_milestones)
    ledger.ended.clear()
    wrong_labels = _compare(["key"], label_rows(taskgroup_id, summary), rows.labels)
    _report(ledger, "group_labels", wrong_labels)
    if not wrong and not wrong_labels and not rows.is_labelled:
        _report(ledger, "labelled_durations", ["they are not those of its episodes and labels"])


def _ended_milestones(ledger: LedgerCheck) -> Iterator[RawRow]:
    for episode in ledger.ended:
        yield from milestone_rows(ledger.taskgroup_id, episode.number, episode.milestones or ())


def _compare(keys: Sequence[str], right: Rows, stored: Rows) -> list[str]:
    """Describe how the rows of one table and group, named by `keys`, differ from the right ones."""
    named = itemgetter(*keys)
    remaining = {named(row): row for row in stored}
    wrong = []
    for row in map(as_stored, right):
        found = remaining.pop(named(row), None)
        if found is None:
            wrong.append(f"{_name(keys, row)} is missing")
        else:
            wrong += [
                f"{_name(keys, row)}: {detail}"
                for name, value in row.items()
                for detail in differing(name, found[name], value)
            ]
    return [*wrong, *(f"{_name(keys, row)} does not follow from the ledger" for row in remaining.values())]


def _name(keys: Sequence[str], row: RawRow) -> str:
    return ", ".join(f"{key} {row[key]!a}" for key in keys)


def _open_interval(watch: RawRow | None) -> Interval | None:
    if watch is None:
        return None
    try:
        asked, seen = moment_of(watch["last_asked_at"]), moment_of(watch["last_seen_at"])
    except UNDECODABLE:
        return None
    if asked is None or seen is None or type(watch["polls"]) is not int:
        return None
    return Interval(asked, seen, watch["polls"])


def _report(ledger: LedgerCheck, table: str, wrong: list[str]) -> None:
    if wrong:
        more = len(wrong) - _MOST_REPORTED
        detail = "; ".join(wrong[:_MOST_REPORTED]) + (f"; and {more} more" if more > 0 else "")
        ledger.report(max(ledger.seq, 1), ProblemKind.DERIVED_MISMATCH, f"{table}: {detail}")
