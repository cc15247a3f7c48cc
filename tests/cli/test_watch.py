"""`recorder watch`, `unwatch` and `pause`: the entries they add, what they refuse, and their output."""

from __future__ import annotations

import getpass
import json
import socket
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.support.program import Program, watch_entries

ODD = "a b%ü 日本"
WHO = f"{getpass.getuser()}@{socket.gethostname()}"
USUAL, OTHER = f"tgrp_{'1' * 32}", f"tgrp_{'f' * 32}"


def states(program: Program) -> dict[str, str]:
    page = json.loads(program.ok("groups", "--json"))
    return {group["taskgroup_id"]: group["state"] for group in page["items"]}


def test_groups_are_watched_paused_stopped_and_watched_again(program: Program) -> None:
    ada, bob = program.using(RECORDER_ACTOR="ada"), program.using(RECORDER_ACTOR="Bob Ü.")
    output = ada.ok("watch", "--exact", "one", ODD, "one", "--note", "March [/batch] – ü")
    assert output.splitlines() == ["one: watching", f"{ODD}: watching"]
    bob.ok("pause", "one", ODD, "--note", "lunch")
    assert states(program) == {"one": "paused", ODD: "paused"}
    bob.ok("unwatch", "one")
    ada.ok("watch", "--exact", "one", ODD)
    assert states(program) == {"one": "watching", ODD: "watching"}
    assert watch_entries(program, "one") == [
        {"action": "started", "actor": "ada", "note": "March [/batch] – ü"},
        {"action": "paused", "actor": "Bob Ü.", "note": "lunch"},
        {"action": "stopped", "actor": "Bob Ü.", "note": None},
        {"action": "resumed", "actor": "ada", "note": None},
    ]
    assert [entry["action"] for entry in watch_entries(program, ODD)] == ["started", "paused", "resumed"]


def test_the_default_actor_is_the_user_at_the_host(program: Program) -> None:
    program.ok("watch", "--exact", "one")
    assert watch_entries(program, "one")[0]["actor"] == WHO


def test_watching_a_watched_group_adds_no_entry(program: Program) -> None:
    program.ok("watch", "--exact", "one")
    assert program.ok("watch", "--exact", "one").startswith("one: ")
    result = program.run("watch", "--exact", "one", "two", "--note", "why")
    assert (result.status, result.out) == (1, "two: watching\n")
    assert len(result.complaints) == 1
    assert result.err.startswith("Error: one: ")
    assert "note" in result.err
    assert len(watch_entries(program, "one")) == 1
    assert watch_entries(program, "two")[0]["note"] == "why"


def test_pausing_or_stopping_a_stopped_group_adds_no_entry(program: Program) -> None:
    program.ok("watch", "--exact", "one")
    program.ok("unwatch", "one")
    program.ok("unwatch", "one")
    program.ok("pause", "one")
    assert states(program) == {"one": "stopped"}
    assert [entry["action"] for entry in watch_entries(program, "one")] == ["started", "stopped"]


@pytest.mark.parametrize("command", ["pause", "unwatch"])
def test_a_note_that_would_not_be_stored_is_refused(program: Program, command: str) -> None:
    program.ok("watch", "--exact", "one")
    program.ok("unwatch", "one")
    result = program.run(command, "one", "--note", "why")
    assert result.status == 1
    assert "note" in result.err


@pytest.mark.parametrize("command", ["pause", "unwatch"])
def test_an_unknown_group_does_not_affect_the_others(program: Program, command: str) -> None:
    program.ok("watch", "--exact", "one", "two")
    result = program.run(command, "one", "nobody", "a/b", "", "two")
    assert result.status == 1
    assert len(result.out.splitlines()) == 2
    assert len(result.complaints) == 3
    assert "nobody" in result.err
    assert set(states(program).values()) == {"paused" if command == "pause" else "stopped"}


BROKEN = [
    ("watch", "DELETE FROM watches WHERE taskgroup_id = 'one'", "has no watch row"),
    ("watch", "UPDATE watches SET head_seq = 1, state = 'paused' WHERE taskgroup_id = 'one'", "entry 1"),
    ("pause", "UPDATE watches SET head_seq = 1 WHERE taskgroup_id = 'one'", "entry 1"),
    ("unwatch", "UPDATE watches SET head_seq = 1 WHERE taskgroup_id = 'one'", "entry 1"),
]


@pytest.mark.parametrize(("command", "damage", "words"), BROKEN)
def test_a_ledger_that_contradicts_its_watch_row_is_not_continued(
    program: Program, engine: Engine, command: str, damage: str, words: str
) -> None:
    program.ok("watch", "--exact", "one", "two")
    program.ok("pause", "one")
    program.ok("watch", "--exact", "one")
    program.ok("pause", "two")
    with engine.begin() as connection:
        connection.execute(text(damage))
    before = contents(engine, "one")
    result = program.run(command, "one", "two", "three")
    first = next(line for line in result.complaints if not line.startswith("Warning: "))
    assert result.status == 1
    assert first.startswith("Error: one: ") and words in first and "recorder verify" in first
    assert contents(engine, "one") == before
    assert states(program)["two"] == {"watch": "watching", "pause": "paused", "unwatch": "stopped"}[command]


def contents(engine: Engine, taskgroup_id: str) -> list[Any]:
    """All rows about a group."""
    with engine.connect() as connection:
        tables = ("watches", "entries", "summaries", "episodes")
        queries = [text(f"SELECT * FROM {table} WHERE taskgroup_id = :id") for table in tables]
        return [connection.execute(query, {"id": taskgroup_id}).all() for query in queries]


def test_many_groups_are_counted_besides(program: Program) -> None:
    program.ok("watch", "--exact", "7")
    program.folder.joinpath("ids").write_text("\n".join(map(str, range(101))))
    result = program.run("watch", "--exact", "--from-file", "ids")
    assert result.out.splitlines() == [
        f"{number}: {'is being watched already' if number == 7 else 'watching'}" for number in range(101)
    ]
    assert result.complaints == ["100 groups: watching", "1 group: is being watched already"]


CHANGES = [
    (("pause",), "paused"),
    (("note", "why"), "noted"),
    (("expect", "--runs", "5"), "expected"),
    (("resume",), "resumed"),
    (("unwatch",), "stopped"),
]


def test_groups_in_a_file_a_folder_or_a_text_are_changed_together(program: Program) -> None:
    folder = program.folder / "spool"
    folder.mkdir()
    folder.joinpath("1.ndjson").write_text(f'{{"taskgroup_id":"{OTHER}","key":"k"}}\n')
    program.folder.joinpath("ids").write_text(f"# March\n{USUAL}\n{USUAL}\n")
    program.ok("watch", USUAL, OTHER, "one")
    for (command, *words), action in CHANGES:
        outputs = [
            program.ok(command, "--from-file", "ids", *words),
            program.ok(command, "--from-file", "spool", *words),
            program.ok(command, "--exact", "-", *words, text="one\n"),
        ]
        assert outputs == [f"{group}: {action}\n" for group in (USUAL, OTHER, "one")]
    for group in (USUAL, OTHER, "one"):
        assert [entry["action"] for entry in watch_entries(program, group)[1:]] == [
            action for _, action in CHANGES
        ]


def test_many_groups_are_changed_beside_those_that_cannot_be(program: Program) -> None:
    program.folder.joinpath("ids").write_text("\n".join([*map(str, range(120)), "bad/id", "a,b"]))
    program.run("watch", "--from-file", "ids")
    program.ok("unwatch", "7")
    for command, words, done in (
        ("note", ["because"], 120),
        ("expect", ["--runs", "5", "--note", "all"], 119),
        ("pause", ["--note", "lunch"], 119),
    ):
        result = program.run(command, "--from-file", "ids", *words)
        assert (result.status, len(result.out.splitlines())) == (1, done)
        first, *errors = result.complaints
        assert first.startswith(f"{done} groups: ")
        named = [line.partition(": ")[2].split(":")[0] for line in errors]
        assert named == ["'bad/id'", "'a,b'", *(["7"] if done < 120 else [])]
    assert watch_entries(program, "9")[1:] == [
        {"action": "noted", "actor": WHO, "note": "because"},
        {"action": "expected", "actor": WHO, "note": "all", "expect": {"runs": 5, "by": None}},
        {"action": "paused", "actor": WHO, "note": "lunch"},
    ]


@pytest.mark.parametrize("command", [("pause",), ("unwatch",), ("note", "why"), ("expect", "--runs", "5")])
def test_a_command_without_a_group_is_wrong_usage(program: Program, command: tuple[str, ...]) -> None:
    assert "--from-file" in program.run(*command).wrong_usage()
    assert (
        "standard input has no ids"
        in program.run(*command[:1], "-", *command[1:], text="# none tgrp_…\n").err
    )


BAD_IDS = ["", ".", "..", "a/b", "https://host/a", "two\nlines", "\x1b[31mred", "\u202egroup", "g" * 256]


def test_malformed_ids_are_named_and_the_others_watched(program: Program) -> None:
    result = program.run("watch", "--exact", "first", *BAD_IDS, "last", "g" * 255)
    assert result.status == 1
    assert set(states(program)) == {"first", "last", "g" * 255}
    assert len(result.complaints) == len(BAD_IDS)
    for line, bad in zip(result.complaints, BAD_IDS, strict=True):
        assert line.startswith(f"Error: {bad[:80]!a}: ")
        assert line.isprintable()


FILE = "\ufeff# the March batch\n\n  one  \ntwo # not a comment\r\n\none\n\t\n#three\nbad/id\nünïcode"


@pytest.mark.parametrize("source", ["file", "-"])
def test_exact_ids_are_the_lines_of_a_file_or_stdin(bare: Program, source: str) -> None:
    bare.folder.joinpath("file").write_bytes(FILE.encode())
    text = FILE.encode() if source == "-" else b""
    result = bare.run("watch", "--exact", "zero", "--from-file", source, text=text)
    assert result.status == 1
    assert result.complaints[-1].startswith("Error: 'bad/id': ")
    assert set(states(bare)) == {"zero", "one", "two # not a comment", "ünïcode"}


def test_slips_in_a_file_are_named_and_the_others_watched(bare: Program) -> None:
    bare.folder.joinpath("file").write_text(f"one,two\n{USUAL}\n")
    line = bare.run("watch", "--from-file", "file").complaints[-1]
    assert line.startswith("Error: 'one,two': contains a comma; ")
    assert set(states(bare)) == {USUAL}


@pytest.mark.parametrize("words", [["-"], ["--from-file", "-"], [f" {USUAL} ", "-"]])
def test_ids_and_links_are_picked_out_of_any_text(program: Program, words: list[str]) -> None:
    text = f"Created {USUAL}, see https://platform.example.com/tasks/groups/{OTHER}?tab=runs (\udcff).\n"
    out = program.run("watch", *words, text=text.encode(errors="surrogateescape")).out
    assert sorted(out.splitlines()) == sorted([f"{USUAL}: watching", f"{OTHER}: watching"])


def test_an_unusual_id_is_watched_with_a_warning(program: Program) -> None:
    result = program.run("watch", "nonsense", USUAL)
    assert (result.status, result.out) == (0, f"nonsense: watching\n{USUAL}: watching\n")
    (line,) = result.err.splitlines()
    assert line.startswith("Warning: 'nonsense' does not look like ")


def test_created_groups_of_a_folder_are_enrolled_once(program: Program, engine: Engine) -> None:
    folder = program.folder / "spool"
    folder.mkdir()
    line = '{"taskgroup_id":"%s","key":"k"}\n'
    folder.joinpath("1.ndjson").write_text(line % USUAL + line % OTHER + '{"taskgroup_id":"tgrp_half')
    assert len(program.ok("watch", "--from-file", "spool").splitlines()) == 2
    program.ok("unwatch", OTHER)
    with folder.joinpath("1.ndjson").open("a") as file:
        file.write('","add_runs":3,"key":"l"}\nnot JSON\n')
    result = program.run("watch", "--from-file", "spool")
    assert (result.status, result.out) == (1, "tgrp_half: watching\n")
    assert result.complaints == ["Error: spool/1.ndjson, line 4: is not JSON"]
    assert states(program) == {USUAL: "watching", OTHER: "stopped", "tgrp_half": "watching"}


def test_a_file_without_an_id_is_wrong_usage(bare: Program) -> None:
    error = bare.run("watch", "--from-file", "-", text="# none tgrp_…\n\n").wrong_usage()
    assert "standard input has no ids" in error


def test_a_file_that_is_not_text_is_reported_in_one_line(bare: Program) -> None:
    bare.folder.joinpath("file").write_bytes(b"\xff\xfe")
    result = bare.run("watch", "--from-file", "file")
    assert (result.status, result.out) == (2, "")
    assert "file" in result.complaints[-1]
    assert not bare.folder.joinpath("recorder.db").exists()


def test_a_blank_database_is_upgraded(blank: Program) -> None:
    result = blank.run("watch", "--exact", "one")
    assert (result.status, result.out) == (0, "one: watching\n")
    assert states(blank) == {"one": "watching"}
    blank.ok("db", "check")


@pytest.mark.parametrize("command", ["pause", "unwatch"])
def test_other_commands_do_not_create_a_database(bare: Program, command: str) -> None:
    assert "recorder db upgrade" in bare.run(command, "one").complaint()
    assert list(bare.folder.iterdir()) == []


def test_a_foreign_database_is_refused(blank: Program, blank_engine: Engine) -> None:
    with blank_engine.begin() as connection:
        connection.execute(text("CREATE TABLE customers (id INTEGER)"))
    for command in ("watch", "pause", "unwatch"):
        assert "not the recorder's" in blank.run(command, "one").complaint()


def test_a_newer_database_is_refused(program: Program, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for command in ("watch", "pause", "unwatch"):
        line = program.run(command, "one").complaint()
        assert "9999" in line
        assert "newer recorder" in line
