"""The lines of an export: write and parse them. Pure.

Each entry is a line, `{"record":…,"digest":"…"}`, in the order of (id by its UTF-8 bytes, `seq`). A group's
last entry is followed by a line with what no digest covers, `{"open":…}`: the state of its watch, the
interval of its newest entry if that is a status, and when it is due.

Nothing is trusted: an entry is rebuilt from its record, and the rebuilt entry must have the same record.
What rules derive from a body is derived again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

import orjson

from recorder.audit.invariants import (
    check_content,
    check_count,
    check_due,
    check_id,
    check_interval,
    check_is_of_status,
)
from recorder.ledger.canonical import canonical
from recorder.ledger.chain import GENESIS, VERSION, digest_of, interval_members, record_of
from recorder.ledger.entries import Action, Entry, Expectation, Gap, Interval, Kind, WatchChange
from recorder.ledger.poll_outcome import Cause
from recorder.ledger.replay import Replay, derive_status, replay_entry
from recorder.ledger.response_body import ResponseBody, parse_body
from recorder.ledger.timestamps import format_time, parse_time
from recorder.ledger.watch import Head, Watch

OPEN_LINE = b'{"open":'
"""How only the line after a group's last entry begins."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ENVELOPE = ("v", "taskgroup_id", "seq", "kind", "at", "previous")
_INTERVAL = ("last_asked_at", "last_seen_at", "polls")
_GAP = ("from", "to", "cause", "attempts", "unpolled_seconds", "http_status", "detail")
_WATCH = ("action", "actor", "note")
_EXPECTED = (*_WATCH, "expect")
_EXPECT = ("runs", "by")
_OPEN = ("taskgroup_id", "state", *_INTERVAL, "due_at")
_KINDS = {"upstream": Kind.STATUS, "upstream_text": Kind.STATUS, "gap": Kind.GAP, "watch": Kind.WATCH}
_LONGEST_COMPLAINT = 300


class ImportRefusedError(Exception):
    """The export does not verify, or cannot be imported here; the message says where and why."""


_NOTHING = Replay()


@dataclass(frozen=True, slots=True)
class _Read:
    """The state after a line: of the current group, or of the last one if an `open` line has ended it.

    `replay` is empty between two groups.
    """

    taskgroup_id: str = ""
    enrolled_at: datetime | None = None
    replay: Replay = _NOTHING


def entry_line(entry: Entry) -> bytes:
    """Return the line of an entry. Its record has the very bytes that the digest covers."""
    record = record_of(
        taskgroup_id=entry.taskgroup_id,
        seq=entry.seq,
        at=entry.at,
        previous=entry.previous,
        content=entry.content,
    )
    return b'{"record":' + canonical(record) + b',"digest":' + orjson.dumps(entry.digest) + b"}\n"


def open_line(watch: Watch) -> bytes:
    """Return the line that follows the last entry of a group."""
    interval = dict.fromkeys(_INTERVAL) if watch.open is None else interval_members(watch.open)
    due_at = None if watch.due_at is None else format_time(watch.due_at)
    members = {"taskgroup_id": watch.taskgroup_id, "state": watch.state.value, **interval, "due_at": due_at}
    return orjson.dumps({"open": members}) + b"\n"


def read_export(lines: Iterable[bytes], gap_window: timedelta) -> Iterator[Entry | Watch]:
    """Yield the entries of an export in order, and each group's watch after its last entry.

    Raises:
        ImportRefusedError: a line is wrong; the message has its number and the reason.
    """
    read, number = _Read(), 0
    for number, line in enumerate(lines, 1):
        try:
            read, item = _next(read, line, gap_window)
        except (ValueError, OverflowError, RecursionError) as error:
            words = "nested too deep" if isinstance(error, RecursionError) else str(error)
            raise ImportRefusedError(f"line {number}: {words[:_LONGEST_COMPLAINT]}") from None
        yield item
    if read.replay.head is not None:
        raise ImportRefusedError(
            f"line {number}: the export ends here, without the open line of {read.taskgroup_id!a}"
        )


def _next(read: _Read, line: bytes, gap_window: timedelta) -> tuple[_Read, Entry | Watch]:
    members = _parsed(line)
    if members.keys() == {"record", "digest"}:
        entry = _entry(read, members["record"], members["digest"])
        begun = entry.at if read.replay.head is None else read.enrolled_at
        return _Read(entry.taskgroup_id, begun, replay_entry(read.replay, entry)), entry
    if members.keys() == {"open"}:
        return replace(read, replay=_NOTHING), _watch(read, members["open"], gap_window)
    raise ValueError("a line has the members record and digest, or open alone")


def _parsed(line: bytes) -> dict[str, Any]:
    if line.startswith(_BYTE_ORDER_MARK):
        raise ValueError("begins with a byte order mark; an export is UTF-8 without one")
    if line.endswith(b"\r\n"):
        raise ValueError("ends with CR LF; the lines of an export end with LF alone")
    text = line.decode("utf-8")
    try:
        members = json.loads(text, object_pairs_hook=_unambiguous, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos}") from None
    if not isinstance(members, dict):
        raise ValueError("not a JSON object")
    return members


def _entry(read: _Read, record: Any, digest: Any) -> Entry:
    name = _content_name(record)
    taskgroup_id, seq = _next_place(read, record)
    head = read.replay.head
    before = head.digest if head else GENESIS
    if digest != digest_of(before, record):
        raise ValueError(
            f"its digest does not follow from the record of entry {seq} and the digest before it"
        )
    at = _time(record["at"], "at")
    previous = _interval(record["previous"], head, "previous")
    received = _content(name, record[name], at)
    check_content(seq, received)
    content = (
        derive_status(read.replay, taskgroup_id, received, at, previous)
        if isinstance(received, ResponseBody)
        else received
    )
    rebuilt = record_of(taskgroup_id=taskgroup_id, seq=seq, at=at, previous=previous, content=content)
    if digest != digest_of(before, rebuilt):
        raise ValueError("no recorder writes such a record: its parts contradict each other")
    return Entry(taskgroup_id, seq, at, previous, content, digest)


def _content_name(record: Any) -> str:
    """Return which member has the content of `record`; its other members are checked."""
    if not isinstance(record, dict) or record.keys() - _KINDS.keys() != set(_ENVELOPE):
        raise ValueError(f"a record has the members {', '.join(_ENVELOPE)} and its content")
    names = [name for name in _KINDS if name in record]
    if len(names) != 1 or record["kind"] != _KINDS[names[0]]:
        raise ValueError("a record has one content, and it must be that of its kind")
    if type(record["v"]) is not int or record["v"] != VERSION:
        raise ValueError(f"its record is not of version {VERSION}")
    return names[0]


def _next_place(read: _Read, record: dict[str, Any]) -> tuple[str, int]:
    """Return the id and number of the entry if it is the next one."""
    taskgroup_id, seq, head = record["taskgroup_id"], check_count(record["seq"], "seq", 1), read.replay.head
    if not isinstance(taskgroup_id, str):
        raise ValueError("taskgroup_id must be a text")
    if head is not None and taskgroup_id != read.taskgroup_id:
        raise ValueError(f"the open line of {read.taskgroup_id!a} is missing before it")
    if head is None:
        check_id(taskgroup_id)
        if taskgroup_id.encode() <= read.taskgroup_id.encode():
            raise ValueError("groups come once each, in the order of their ids by UTF-8 bytes")
    expected = 1 if head is None else head.seq + 1
    if seq != expected:
        raise ValueError(f"it is entry {seq} of its group where entry {expected} must come")
    return taskgroup_id, seq


def _content(name: str, value: Any, at: datetime) -> ResponseBody | Gap | WatchChange:
    if name == "gap":
        return _gap(value, at)
    if name == "watch":
        return _watch_change(value)
    return _body(name, value)


def _watch_change(value: Any) -> WatchChange:
    is_expected = isinstance(value, dict) and value.get("action") == Action.EXPECTED
    action, actor, note, *expect = _members(value, _EXPECTED if is_expected else _WATCH, "watch")
    return WatchChange(Action(action), actor, note, _expectation(*expect) if expect else None)


def _expectation(value: Any) -> Expectation:
    runs, by = _members(value, _EXPECT, "expect")
    return Expectation(runs, None if by is None else _time(by, "by"))


def _body(name: str, value: Any) -> ResponseBody:
    body = parse_body(canonical(value) if name == "upstream" else _any_text(value, name).encode())
    if body.exact != (name == "upstream"):
        raise ValueError("a body is kept as upstream_text where RFC 8785 cannot carry it, and only there")
    return body


def _gap(value: Any, at: datetime) -> Gap:
    from_, _, cause, attempts, unpolled, http_status, detail = _members(value, _GAP, "gap")
    seconds = float(unpolled) if type(unpolled) is int else unpolled
    return Gap(_time(from_, "from"), at, Cause(cause), attempts, seconds, http_status, detail)


def _watch(read: _Read, opened: Any, gap_window: timedelta) -> Watch:
    """Return the watch of the group that an `open` line ends, if the line matches its ledger."""
    taskgroup_id, state, *interval, due = _members(opened, _OPEN, "open")
    head, replayed, enrolled_at = read.replay.head, read.replay.state, read.enrolled_at
    if head is None or replayed is None or enrolled_at is None or taskgroup_id != read.taskgroup_id:
        raise ValueError("an open line stands after the last entry of its group, once")
    if state != replayed.value:
        raise ValueError(f"its state is not {replayed.value}, which the group's watch entries say")
    known = any(value is not None for value in interval)
    due_at = None if due is None else _time(due, "due_at")
    check_due(due_at, replayed)
    return Watch(
        taskgroup_id=taskgroup_id,
        state=replayed,
        enrolled_at=enrolled_at,
        head=head,
        due_at=due_at,
        gap_at=None if due_at is None else due_at + gap_window,
        poll_due_at=due_at,
        open=_interval(dict(zip(_INTERVAL, interval, strict=True)) if known else None, head, "the interval"),
        in_force=read.replay.in_force,
        expected=read.replay.expected,
        earlier_sight=read.replay.earlier_sight,
    )


def _interval(value: Any, head: Head | None, what: str) -> Interval | None:
    """Parse the interval of the entry before, the `head`."""
    kind, at = (head.kind, head.at) if head else (None, None)
    check_is_of_status(value is not None, kind, what)
    if value is None:
        return None
    asked, seen, polls = _members(value, _INTERVAL, what)
    interval = Interval(_time(asked, "last_asked_at"), _time(seen, "last_seen_at"), polls)
    check_interval(interval, kind, at, what)
    return interval


def _members(value: Any, names: Sequence[str], what: str) -> list[Any]:
    if not isinstance(value, dict) or value.keys() != set(names):
        raise ValueError(f"{what} must be an object of {', '.join(names)}")
    return [value[name] for name in names]


def _time(value: Any, what: str) -> datetime:
    moment = parse_time(_any_text(value, what))
    if format_time(moment) != value:
        raise ValueError(f"{what} must be a time in UTC with microseconds and Z")
    return moment


def _any_text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what} must be a text")
    return value


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has two members of one name")
    return members


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"not JSON: {name}")
