"""Imports restore exports completely, on either database, and refuse what does not verify."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, Row, func, insert, select

from recorder.audit.export_format import ImportRefusedError, read_export
from recorder.audit.exporter import export_lines
from recorder.audit.importer import Imported, load
from recorder.ledger.entries import Action
from recorder.ledger.failure_run import NO_FAILURES
from recorder.ledger.poll_outcome import Cause
from recorder.ledger.response_body import parse_body
from recorder.store.derived import apply_entries
from recorder.store.engine import check_url, open_engine
from recorder.store.history import read_entries
from recorder.store.mapping import entry_row, watch_of, watch_row
from recorder.store.tables import (
    entries,
    episodes,
    group_labels,
    labelled_durations,
    metadata,
    milestones,
    summaries,
    watches,
)
from recorder.store.transactions import reading, writing
from tests.support.databases import postgres_database, sqlite_database
from tests.support.examples import examples
from tests.support.exports import exported, record, verified
from tests.support.json_texts import bodies, json_text
from tests.support.ledgers import GAP_WINDOW, GROUP, Ledger
from tests.support.recording import Recording, active, after
from tests.support.strategies import ledgers

WINDOW = timedelta(seconds=GAP_WINDOW)
NOW = after(10**6)
DERIVED = (episodes, milestones, group_labels, labelled_durations, summaries)
SLOW = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


@pytest.fixture(scope="module")
def engines(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, postgres: str, postgres_template: str
) -> Iterator[list[Engine]]:
    """One database of each kind, which tests must leave empty."""
    path = tmp_path_factory.mktemp("import") / "recorder.db"
    with (
        sqlite_database(path, sqlite_template) as file,
        postgres_database(postgres, "imports", postgres_template) as database,
    ):
        urls = [file, database]
        engines = [open_engine(check_url(url)) for url in urls]
        yield engines
        for engine in engines:
            engine.dispose()


@contextmanager
def rolled_back(engine: Engine) -> Iterator[Connection]:
    """A transaction that is rolled back, since entries cannot be deleted."""
    with engine.connect() as connection, connection.begin() as transaction:
        yield connection
        transaction.rollback()


def imported(connection: Connection, lines: Sequence[bytes]) -> Imported:
    return load(connection, lines, gap_window=WINDOW, now=lambda: NOW)


def written_out(connection: Connection) -> list[bytes]:
    return list(export_lines(connection))


def store(connection: Connection, ledger: Ledger) -> None:
    """Write a complete ledger as a recorder would."""
    connection.execute(insert(entries), [entry_row(entry) for entry in ledger.entries])
    apply_entries(connection, ledger.entries)
    place = {"taskgroup_id": GROUP, "enrolled_at": ledger.watch.enrolled_at}
    connection.execute(insert(watches).values(**watch_row(ledger.watch), **place))


def derived(connection: Connection) -> list[list[tuple[Any, ...]]]:
    tables = [select(table).order_by(*table.primary_key) for table in DERIVED]
    return [[tuple(row) for row in connection.execute(asked)] for asked in tables]


def check_round_trip(engines: Sequence[Engine], ledger: Ledger) -> None:
    """Move a ledger from each database to the other and back, and compare their complete contents."""
    for here, there in (engines, reversed(engines)):
        with rolled_back(here) as connection:
            store(connection, ledger)
            first, made = written_out(connection), derived(connection)
        assert len(verified(b"".join(first))[GROUP][0]) == len(ledger.entries)
        lines = first
        for engine in (there, here):
            with rolled_back(engine) as connection:
                assert imported(connection, lines) == Imported(len(ledger.entries), 1)
                lines = written_out(connection)
                assert lines == first
                assert derived(connection) == made
                assert list(read_entries(connection, GROUP)) == ledger.entries
                due = ledger.watch.due_at
                gap_at = None if due is None else due + WINDOW
                watch = replace(ledger.watch, gap_at=gap_at, poll_due_at=due, failures=NO_FAILURES)
                assert watch_of(connection.execute(select(watches)).one()) == watch


@settings(max_examples=examples(0.5), **SLOW)
@given(ledger=ledgers(steps_back=True, remarks=True))
def test_any_ledger_survives_a_round_trip(engines: list[Engine], ledger: Ledger) -> None:
    check_round_trip(engines, ledger)


@settings(max_examples=examples(0.5), **SLOW)
@given(drawn=st.lists(st.tuples(bodies(st.just(GROUP)), st.booleans()), min_size=1, max_size=3))
def test_any_body_survives_a_round_trip(engines: list[Engine], drawn: list[tuple[Any, bool]]) -> None:
    ledger = Ledger()
    for number, (body, escape) in enumerate(drawn, start=1):
        ledger.see(10 * number, parse_body(json_text(body, escape).encode()))
    check_round_trip(engines, ledger)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> bytes:
    """An export of four groups, with entries of every kind."""
    path = tmp_path_factory.mktemp("recorded") / "recorder.db"
    with sqlite_database(path, sqlite_template) as url:
        engine = open_engine(check_url(url))
        record(engine)
        export = exported(engine)
        engine.dispose()
    return export


@pytest.fixture
def lines(export: bytes) -> list[bytes]:
    return export.splitlines(keepends=True)


def test_several_groups_survive_a_round_trip(engine: Engine, lines: list[bytes]) -> None:
    with writing(engine) as connection:
        assert imported(connection, lines) == Imported(12, 4)
    assert exported(engine) == b"".join(lines)
    rows = watch_rows(engine)
    assert {name: (row.enrolled_at, row.next_poll_at) for name, row in rows.items()} == {
        "one": (after(0), after(110)),
        "a b%ü 日本&?#": (after(101), None),
        "seen once": (after(121), None),
        "never": (after(130), after(130)),
    }
    assert {row.owner for row in rows.values()} == {None}


def watch_rows(engine: Engine) -> dict[str, Row[Any]]:
    with reading(engine) as connection:
        return {row.taskgroup_id: row for row in connection.execute(select(watches))}


def test_a_gone_group_is_polled_immediately(engine: Engine) -> None:
    ledger = Ledger().see(0, parse_body(b'{"status":{}}'))
    for at in (10, 500, 1000):
        ledger.fail(at, Cause.NOT_FOUND)
    with writing(engine) as connection:
        store(connection, ledger)
        gone = written_out(connection)
        connection.rollback()
    with writing(engine) as connection:
        imported(connection, gone)
    row = watch_rows(engine)[GROUP]
    assert (row.state, row.next_poll_at, row.due_at, row.gap_at) == ("gone", NOW, None, None)


def test_recording_continues_after_an_import(engine: Engine, lines: list[bytes]) -> None:
    """A timely response extends the open interval, and a different one closes it."""
    with writing(engine) as connection:
        imported(connection, lines)
    recording = Recording(engine)
    before = verified(exported(engine))["one"]
    upstream = before[0][-1]["upstream"]
    recording.see_raw("one", 135, json.dumps(upstream))
    records, opened = verified(exported(engine))["one"]
    assert (records, opened["polls"]) == (before[0], 2)
    recording.see("one", 145, active(running=9))
    records, _ = verified(exported(engine))["one"]
    assert [record["kind"] for record in records] == ["watch", "status", "status", "gap", "status", "status"]
    assert records[-1]["previous"]["polls"] == 2


def test_time_without_polls_after_the_export_becomes_a_gap(engine: Engine, lines: list[bytes]) -> None:
    with writing(engine) as connection:
        imported(connection, lines)
    Recording(engine).see("one", 5000, active(running=9))
    *_, gap, status = verified(exported(engine))["one"][0]
    assert (gap["gap"]["cause"], gap["gap"]["from"]) == ("not_polled", "2026-11-24T12:01:40.000000Z")
    assert status["upstream"]["status"]["task_run_status_counts"] == {"running": 9}


def test_an_empty_export_has_no_groups(engine: Engine) -> None:
    with writing(engine) as connection:
        assert imported(connection, []) == Imported(0, 0)


def test_a_database_with_groups_is_refused(engine: Engine, lines: list[bytes]) -> None:
    Recording(engine).watch("mine")
    before = exported(engine)
    for export in (lines, []):
        with pytest.raises(ImportRefusedError, match="has groups already"), writing(engine) as connection:
            imported(connection, export)
    assert exported(engine) == before


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_an_import_fails_if_a_group_is_enrolled_concurrently(engine: Engine, lines: list[bytes]) -> None:
    def meanwhile() -> Iterator[bytes]:
        yield lines[0]
        Recording(engine).watch("one")
        yield from lines[1:]

    with pytest.raises(ImportRefusedError, match="meanwhile"), writing(engine) as connection:
        imported(connection, meanwhile())  # type: ignore[arg-type]
    assert list(verified(exported(engine))) == ["one"]


Change = Callable[[list[bytes]], list[bytes]]


def spliced(at: int, *new: bytes, drop: int = 1) -> Change:
    """Replace `drop` lines, starting with line `at`, with new ones."""
    return lambda lines: [*lines[: at - 1], *new, *lines[at - 1 + drop :]]


def swapped(at: int) -> Change:
    return lambda lines: [*lines[: at - 1], lines[at], lines[at - 1], *lines[at + 1 :]]


def put(at: int, old: bytes, new: bytes) -> Change:
    def change(lines: list[bytes]) -> list[bytes]:
        altered = lines[at - 1].replace(old, new)
        assert altered != lines[at - 1]
        return [*lines[: at - 1], altered, *lines[at:]]

    return change


DEEP = b'{"record":' + b"[" * 100_000 + b"]" * 100_000 + b',"digest":""}\n'
BROKEN: dict[str, tuple[Change, str]] = {
    # Lines 1-4 (watch, status, watch, open), 5-6 (a single entry), 7-12 (with a gap) and 13-16 are groups.
    "a count changed": (put(8, b'"queued":3', b'"queued":4'), "line 8: its digest"),
    "a note changed": (put(3, b"lunch", b"launch"), "line 3: its digest"),
    "a line removed": (spliced(8), "line 8: it is entry 3 of its group where entry 2"),
    "the first line removed": (spliced(1), "line 1: it is entry 2 of its group where entry 1"),
    "lines swapped": (swapped(8), "line 8: it is entry 3"),
    "a line doubled": (lambda lines: [*lines[:8], *lines[7:]], "line 9: it is entry 2"),
    "no open line": (spliced(6), "line 6: the open line of 'never' is missing"),
    "no open line at the end": (spliced(16), "line 15: the export ends here"),
    "cut off after an entry": (lambda lines: lines[:8], "line 8: the export ends here"),
    "an open line too many": (lambda lines: [*lines[:4], *lines[3:]], "line 5: an open line"),
    "an open line first": (lambda lines: lines[3:], "line 1: an open line"),
    "an open line of another group": (put(6, b"never", b"one"), "line 6: an open line"),
    "another state": (put(4, b"paused", b"stopped"), "line 4: its state is not paused"),
    "no interval": (
        put(12, b'"last_asked_at":"2026-11-24T12:01:39.750000Z"', b'"last_asked_at":null'),
        "line 12: last_asked_at must be a text",
    ),
    "an interval of no status": (put(4, b'"polls":null', b'"polls":1'), "line 4: the interval is there"),
    "no polls": (put(12, b'"polls":1', b'"polls":0'), "line 12: polls must be a whole number"),
    "a count that is true": (put(12, b'"polls":1', b'"polls":true'), "line 12: polls must be"),
    "watched and never due": (
        put(6, b'"due_at":"2026-11-24T12:02:10.000000Z"', b'"due_at":null'),
        "line 6: due_at",
    ),
    "paused and due": (
        put(4, b'"due_at":null', b'"due_at":"2026-11-24T12:02:10.000000Z"'),
        "line 4: due_at",
    ),
    "due after the end of time": (
        put(6, b"2026-11-24T12:02:10", b"9999-12-31T23:59:50"),
        "line 6: date value",
    ),
    "a digest of another entry": (
        lambda lines: [*lines[:8], lines[8].replace(lines[8][-68:], lines[7][-68:]), *lines[9:]],
        "line 9: its digest",
    ),
    "a digest in upper case": (
        lambda lines: [lines[0][:-67] + lines[0][-67:].upper(), *lines[1:]],
        "line 1: its digest",
    ),
    "a digest that is not text": (
        lambda lines: [lines[0][:-68] + b'"digest":1}\n'[9:], *lines[1:]],
        "line 1: its digest",
    ),
    "half a line": (lambda lines: [*lines[:8], lines[8][:100]], "line 9: not JSON"),
    "half a character": (lambda lines: [lines[0][: lines[0].index(b"\xc3") + 1]], "line 1: 'utf-8'"),
    "a foreign member": (put(9, b"}\n", b',"note":null}\n'), "line 9: a line has the members"),
    "a foreign member of a record": (put(9, b'"v":1', b'"v":1,"w":1'), "line 9: a record has the members"),
    "a foreign member of an open line": (put(6, b'"due_at"', b'"x":1,"due_at"'), "line 6: open must be"),
    "a member twice": (put(9, b'"v":1', b'"v":2,"v":1'), "line 9: an object has two members"),
    "another group within": (put(9, b'"one"', b'"two"'), "line 9: the open line of 'one' is missing"),
    "groups in another order": (lambda lines: [*lines[4:6], *lines[:4]], "line 3: groups come once each"),
    "a group twice": (lambda lines: [*lines[:4], *lines[:4]], "line 5: groups come once each"),
    "a bad id": (put(5, b'"never"', b'"nev/er"'), "line 5: taskgroup_id 'nev/er' contains '/'"),
    "an empty id": (put(5, b'"never"', b'""'), "line 5: taskgroup_id '' is empty"),
    "an id that is not text": (put(5, b'"never"', b"5"), "line 5: taskgroup_id must be a text"),
    "an empty line": (spliced(5, b"\n", drop=0), "line 5: not JSON"),
    "not an object": (spliced(5, b"[]\n"), "line 5: not a JSON object"),
    "not a number": (put(9, b'"v":1', b'"v":NaN'), "line 9: not JSON: NaN"),
    "not JSON": (spliced(5, b"Dear diary,\n"), "line 5: not JSON"),
    "a record that is not an object": (spliced(5, b'{"record":[],"digest":""}\n'), "line 5: a record has"),
    "a huge number": (put(9, b'"seq":3', b'"seq":' + b"7" * 5000), "line 9: "),
    "nested too deep": (spliced(5, DEEP), "line 5: "),
    "CR LF": (
        lambda lines: [line.replace(b"\n", b"\r\n") for line in lines],
        "line 1: ends with CR LF",
    ),
    "a byte order mark": (
        lambda lines: [b"\xef\xbb\xbf" + lines[0], *lines[1:]],
        "line 1: begins with a byte order mark",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_refusal_names_the_broken_line(lines: list[bytes], name: str) -> None:
    change, words = BROKEN[name]
    with pytest.raises(ImportRefusedError) as refused:
        list(read_export(change(lines), WINDOW))
    assert str(refused.value).startswith(words)
    assert str(refused.value).isprintable()


def sizes(engine: Engine) -> dict[str, int]:
    with reading(engine) as connection:
        return {
            name: connection.scalar(select(func.count()).select_from(table)) or 0
            for name, table in metadata.tables.items()
        }


def test_a_refused_export_is_rolled_back(engine: Engine, lines: list[bytes]) -> None:
    before = sizes(engine)
    for change, words in BROKEN.values():
        with pytest.raises(ImportRefusedError) as refused, writing(engine) as connection:
            imported(connection, change(lines))
        assert str(refused.value).startswith(words)
        assert sizes(engine) == before
    with writing(engine) as connection:
        assert imported(connection, lines).groups == 4
    assert sizes(engine)["events"] == 0


def test_an_export_may_be_formatted_differently(engines: list[Engine], lines: list[bytes]) -> None:
    """Digests cover the canonical form, not the form in the file; the final line feed may be missing."""
    spelled = [json.dumps(json.loads(line), indent=None).encode() + b"\n" for line in lines]
    assert spelled != lines
    for engine in engines:
        with rolled_back(engine) as connection:
            imported(connection, [*spelled[:-1], spelled[-1].rstrip()])
            assert written_out(connection) == lines


Line = dict[str, Any]


def chained(parsed: Sequence[Line]) -> list[bytes]:
    """Recompute the digests of a group's records, as a forger would."""
    found: list[Line] = []
    digest = bytes(32)
    for line in parsed:
        if "open" not in line:
            digest = hashlib.sha256(digest + rfc8785.dumps(line["record"])).digest()
            found.append({"record": line["record"], "digest": digest.hex()})
        else:
            found.append(line)
    return [json.dumps(line).encode() + b"\n" for line in found]


def group_of(lines: list[bytes], first: int, last: int) -> list[Line]:
    return [json.loads(line) for line in lines[first - 1 : last]]


def forged(number: int, **members: Any) -> Callable[[list[Line]], None]:
    """Change members of the record of an entry; `...` as a value removes the member."""

    def forge(parsed: list[Line]) -> None:
        entry = parsed[number - 1]["record"]
        for name, value in members.items():
            if value is ...:
                del entry[name]
            else:
                entry[name] = value

    return forge


def forged_inside(number: int, content: str, **members: Any) -> Callable[[list[Line]], None]:
    return lambda parsed: parsed[number - 1]["record"][content].update(members)


def _drop(parsed: list[Line], place: int) -> None:
    del parsed[place]


ASKED = "2026-11-24T12:00:00.000000Z"
TIMES = {"last_asked_at": ASKED, "last_seen_at": ASKED, "polls": 1}
FORGED: dict[str, tuple[Callable[[list[Line]], None], str]] = {
    # The group is: started, status, status, gap, status, open.
    "numbers from 2": (
        lambda parsed: [entry["record"].update(seq=9) for entry in parsed[:5]] and None,
        "line 1: it is",
    ),
    "a number that is text": (forged(2, seq="2"), "line 2: seq must be"),
    "another version": (forged(2, v=2), "line 2: its record is not of version 1"),
    "a version that is true": (forged(2, v=True), "line 2: its record is not of version 1"),
    "a kind that does not match the content": (forged(2, kind="gap"), "line 2: a record has one content"),
    "an unknown kind": (forged(2, kind="poll"), "line 2: a record has one content"),
    "two contents": (forged(2, watch={}), "line 2: a record has one content"),
    "no content": (forged(2, upstream=...), "line 2: a record has one content"),
    "a time with an offset": (forged(2, at="2026-11-24T13:00:01.000000+01:00"), "line 2: at must be"),
    "a time without microseconds": (forged(2, at="2026-11-24T12:00:01Z"), "line 2: at must be"),
    "no time": (forged(2, at="noon"), "line 2: not an RFC 3339 time"),
    "a time that is a number": (forged(2, at=1), "line 2: at must be a text"),
    "no previous": (forged(3, previous=None), "line 3: previous is there exactly if"),
    "a previous after watch": (forged(2, previous=TIMES), "line 2: previous is there exactly if"),
    "half a previous": (forged(3, previous={"polls": 1}), "line 3: previous must be an object of"),
    "a previous of no polls": (forged(3, previous={**TIMES, "polls": 0}), "line 3: polls must be"),
    "a gap that ends elsewhere": (
        forged_inside(4, "gap", to="2026-11-24T12:01:00.000000Z"),
        "line 4: no recorder writes such a record",
    ),
    "a gap before its start": (
        forged_inside(4, "gap", **{"from": "2027-01-01T00:00:00.000000Z"}),
        "line 4: a gap does not end",
    ),
    "an unknown cause": (forged_inside(4, "gap", cause="weather"), "line 4: 'weather' is not"),
    "a cause that is a list": (forged_inside(4, "gap", cause=[]), "line 4: [] is not"),
    "attempts below 0": (forged_inside(4, "gap", attempts=-1), "line 4: attempts must be"),
    "seconds that are text": (forged_inside(4, "gap", unpolled_seconds="1"), "line 4: unpolled_seconds"),
    "seconds below 0": (forged_inside(4, "gap", unpolled_seconds=-0.5), "line 4: unpolled_seconds"),
    "seconds that are true": (forged_inside(4, "gap", unpolled_seconds=True), "line 4: unpolled_seconds"),
    "no HTTP status": (forged_inside(4, "gap", http_status=1000), "line 4: http_status"),
    "a detail with U+0000": (forged_inside(4, "gap", detail="a\0"), "line 4: detail must be"),
    "a foreign member of a gap": (forged_inside(4, "gap", x=1), "line 4: gap must be an object of"),
    "an unknown action": (forged_inside(1, "watch", action="slept"), "line 1: 'slept' is not"),
    "a ledger that begins otherwise": (
        forged_inside(1, "watch", action="resumed"),
        "line 1: a ledger begins",
    ),
    "a second start": (
        forged(3, kind="watch", upstream=..., watch={"action": "started", "actor": "a", "note": None}),
        "line 3: a ledger begins",
    ),
    "a note with U+0000": (forged_inside(1, "watch", note="\0"), "line 1: note must be"),
    "no actor": (forged_inside(1, "watch", actor=None), "line 1: actor must be"),
    "a body without status": (forged(2, upstream={}), "line 2: no object `status`"),
    "a body that is not an object": (forged(2, upstream=[]), "line 2: not a JSON object"),
    "a body with too large a number": (
        forged(2, upstream={"status": {"x": 1e16}}),
        "line 2: a body is kept as upstream_text where",
    ),
    "an exact body as text": (
        forged(2, upstream=..., upstream_text='{"status":{}}'),
        "line 2: a body is kept as upstream_text where",
    ),
    "a text that is not a body": (
        forged(2, upstream=..., upstream_text="1e400"),
        "line 2: not a JSON object",
    ),
    "a text that is a number": (
        forged(2, upstream=..., upstream_text=7),
        "line 2: upstream_text must be a text",
    ),
    "no open line": (lambda parsed: _drop(parsed, -1), "line 5: the export ends here"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_record_with_a_valid_digest_is_refused(lines: list[bytes], name: str) -> None:
    parsed = group_of(lines, 7, 12)
    assert len(list(read_export(chained(parsed), WINDOW))) == 6
    forge, words = FORGED[name]
    forge(parsed)
    with pytest.raises(ImportRefusedError) as refused:
        list(read_export(chained(parsed), WINDOW))
    assert str(refused.value).startswith(words)


def test_values_without_a_canonical_form_are_refused(lines: list[bytes]) -> None:
    for old, new in ((b'"queued":3', b'"queued":9007199254740993'), (b'"acme"', b'"\\ud800"')):
        with pytest.raises(ImportRefusedError, match=r"^line 8: ") as refused:
            list(read_export(put(8, old, new)(lines), WINDOW))
        assert str(refused.value).isprintable()


_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=5)
    | st.sampled_from([ASKED, "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00.000000Z", *Action, *Cause])
)
_values = (
    _scalars | st.lists(_scalars, max_size=2) | st.dictionaries(st.text(max_size=3), _scalars, max_size=2)
)


_SOME_TIMES = [after(seconds).strftime("%Y-%m-%dT%H:%M:%S.%fZ") for seconds in (-5000, 0, 0.5, 60, 10**8)]


def like(value: Any) -> st.SearchStrategy[Any]:
    """Return values similar to `value`, so that forgeries pass the first checks."""
    if isinstance(value, str) and value in set(Action):
        return st.sampled_from([action.value for action in Action if action is not Action.STARTED])
    if isinstance(value, str) and value.endswith("Z"):
        return st.sampled_from(_SOME_TIMES)
    if isinstance(value, int) and not isinstance(value, bool):
        return st.integers(1, 99)
    return st.text(max_size=3) if isinstance(value, str) else _values


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*above, key)
        yield from places(inner, (*above, key))


@settings(max_examples=examples(2), **SLOW)
@given(data=st.data(), ledger=ledgers(steps_back=True, remarks=True))
def test_any_forgery_is_refused_or_survives_a_round_trip(
    engines: list[Engine], data: st.DataObject, ledger: Ledger
) -> None:
    """Values anywhere in the records and the open line are replaced, and the digests recomputed."""
    with rolled_back(engines[0]) as connection:
        store(connection, ledger)
        parsed = [json.loads(line) for line in written_out(connection)]
    for _ in range(data.draw(st.integers(1, 3))):
        found = [place for place in places(parsed) if "digest" not in place and len(place) > 2]
        *path, last = data.draw(st.sampled_from(found))
        holder: Any = parsed
        for step in path:
            holder = holder[step]
        holder[last] = deepcopy(data.draw(like(holder[last]) if data.draw(st.booleans()) else _values))
    try:
        lines = chained(parsed)
    except rfc8785.CanonicalizationError:
        return
    engine = data.draw(st.sampled_from(engines))
    with rolled_back(engine) as connection:
        try:
            imported(connection, lines)
        except ImportRefusedError:
            return
        again = written_out(connection)
        assert [json.loads(line) for line in again] == [json.loads(line) for line in lines]
