"""Help, wrong usage, the working folder's `.env`, and output that cannot be written."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.program import KEY, Program, command_line

OPTIONS = {
    "checkpoint": ["--out"],
    "completion": [
        "ID",
        "--group-by",
        "--since",
        "--enrolled",
        "--from",
        "--to",
        "--metadata",
        "--json",
    ],
    "db": ["upgrade", "downgrade", "current", "check", "rebuild", "grants"],
    "db upgrade": [],
    "db downgrade": ["REVISION", "--discard-ledger"],
    "db current": [],
    "db check": [],
    "db rebuild": [],
    "db grants": ["--recorder", "--api", "--reporting", "--apply"],
    "demo": ["--for"],
    "doctor": [],
    "events": ["--follow", "--after", "--type", "--taskgroup-id", "--limit", "--cursor", "--json"],
    "export": ["ID", "--out"],
    "gaps": ["ID", "--from", "--to", "--order", "--limit", "--cursor", "--json"],
    "groups": [
        "--phase",
        "--state",
        "--metadata",
        "--late",
        "--all",
        "--columns",
        "--sort",
        "--limit",
        "--json",
    ],
    "history": ["ID", "--from", "--to", "--kind", "--anomaly", "--order", "--limit", "--cursor", "--json"],
    "import": ["FILE"],
    "expect": ["ID", "--runs", "--by", "--note", "--from-file", "--exact"],
    "note": ["ID", "TEXT", "--from-file", "--exact"],
    "pause": ["ID", "--note", "--from-file", "--exact"],
    "run": ["--once", "--check"],
    "serve": [],
    "simulate": ["--port", "--seed", "--speed", "--outage", "--scenario", "--list-scenes", "--log"],
    "status": ["ID", "--at", "--follow", "--json"],
    "token": ["NAME"],
    "unwatch": ["ID", "--note", "--from-file", "--exact"],
    "up": [],
    "verify": ["ID", "--checkpoint", "--jobs", "--json"],
    "watch": ["ID", "--note", "--from-file", "--exact"],
    "wait": ["ID", "--timeout", "--any"],
}


def test_a_command_that_does_not_exist(bare: Program) -> None:
    assert "there is no command 'staus'; did you mean status?" in bare.run("staus").complaint(2)
    assert "there is no command 'x\\x1b'" in bare.run("x\x1b").complaint(2)


def test_help_names_every_command_option_and_argument(bare: Program) -> None:
    top = bare.ok("--help")
    for name, options in OPTIONS.items():
        text = bare.ok(*name.split(), "--help")
        assert f"recorder {name} " in text
        assert [option for option in options if option not in text] == []
        assert f"\n  {name.split()[0]} " in top
    assert ".env" in top


def test_version(bare: Program) -> None:
    assert bare.ok("--version") == f"recorder, version {version('task-group-recorder')}\n"


def test_the_installed_command_is_this_program(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("recorder")
    output = subprocess.run([script, "--version"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert output.stdout == f"recorder, version {version('task-group-recorder')}\n"


WRONG = [
    (["nonsense"], "nonsense"),
    (["db", "nonsense"], "nonsense"),
    (["db", "downgrade"], "REVISION"),
    (["groups", "--nonsense"], "--nonsense"),
    (["groups", "extra"], "extra"),
    (["status"], "ID"),
    (["status", "one", "two"], "two"),
    (["watch"], "--from-file"),
    (["watch", "--from-file", "no-such-file"], "no-such-file"),
    (["watch", "--from-file", "/dev/null"], "/dev/null has no ids"),
    (["watch", "-"], "standard input has no ids"),
    (["wait", "a", "--timeout", "soon"], "'soon' is not a valid number of seconds"),
    (["wait", "a", "--timeout", "nan"], "'nan' is not a valid number of seconds"),
    (["up", "--workers", "two"], "'two' is not a valid whole number"),
    (["watch", "a", "--note", "two\nlines"], "--note"),
    (["pause"], "group"),
    (["token", "two words"], "two words"),
    (["unwatch", "a", "--note", "\x1b[2J"], "--note"),
    (["simulate", "--port", "70000"], "70000"),
    (["simulate", "--outage", "3-2:503"], "3-2"),
    (["simulate", "--outage", "1-2:nonsense"], "nonsense"),
    (["simulate", "--speed", "nan"], "nan"),
    (["demo", "--for", "soon"], "soon"),
    (["demo", "--for", "0"], "0"),
]


@pytest.mark.parametrize(("arguments", "word"), WRONG)
def test_wrong_usage_is_reported_in_one_line_with_status_2(
    bare: Program, arguments: list[str], word: str
) -> None:
    assert word in bare.run(*arguments).wrong_usage()
    assert list(bare.folder.iterdir()) == []


def test_without_a_key_nothing_is_polled_or_created(bare: Program) -> None:
    for arguments in (["run"], ["run", "--once"], ["up"]):
        assert "PARALLEL_API_KEY" in bare.run(*arguments).complaint(status=2)
    assert list(bare.folder.iterdir()) == []


def test_settings_come_from_env_and_the_environment_wins(bare: Program) -> None:
    bare.folder.joinpath(".env").write_text(
        f"PARALLEL_API_KEY={KEY}\nRECORDER_DATABASE_URL=sqlite:///named-in-the-file.db\nOTHER=ignored\n"
    )
    bare.ok("db", "upgrade")
    assert bare.folder.joinpath("named-in-the-file.db").is_file()
    assert bare.run("run", "--once").status == 0
    bare.using(RECORDER_DATABASE_URL="sqlite:///named-outside.db").ok("db", "upgrade")
    assert bare.folder.joinpath("named-outside.db").is_file()
    assert not bare.folder.joinpath("recorder.db").exists()


def test_an_env_file_that_is_not_text_is_named(bare: Program) -> None:
    bare.folder.joinpath(".env").write_bytes(b"PARALLEL_API_KEY=\xff\n")
    assert ".env" in bare.run("groups").complaint(status=2)


@pytest.mark.parametrize("command", [["groups"], ["groups", "--json"], ["db", "current"]])
def test_closed_output_does_not_print_a_stack_trace(bare: Program, command: list[str]) -> None:
    bare.ok("db", "upgrade")
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run(
        command_line(*command),
        check=False,
        stdout=writing,
        stderr=subprocess.PIPE,
        cwd=bare.folder,
        env=bare.environment,
    )
    os.close(writing)
    assert result.stderr == b""


def test_a_full_disk_is_reported_with_the_file_as_it_was_given(bare: Program) -> None:
    assert bare.run("watch", f"tgrp_{'0' * 32}").status == 0
    for command in ("export", "checkpoint"):
        complaint = bare.run(command, "--out", "/dev/full").complaint()
        assert complaint == "Error: /dev/full: No space left on device"


def test_a_misspelt_setting_is_named_where_a_command_fails_for_want_of_it(bare: Program) -> None:
    line = "RECORDER_DATABSE_URL is not a setting and is ignored; did you mean RECORDER_DATABASE_URL?"
    result = bare.using(RECORDER_DATABSE_URL="sqlite:///mine.db").run("groups")
    assert (result.status, result.err.count(line)) == (1, 1)
    bare.folder.joinpath(".env").write_text("PARALLEL_API_KEY: mine\n")
    result = bare.run("up")
    assert "line 1, is not NAME=value and is ignored" in result.err
    assert result.err.splitlines()[-1].startswith("Error: PARALLEL_API_KEY is not set")


def test_the_file_of_another_program_stays_as_it_is(bare: Program) -> None:
    other = bare.folder / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE others (id)")
    before = other.read_bytes()
    for command in (["watch", "a"], ["db", "upgrade"], ["groups"]):
        complaint = bare.using(RECORDER_DATABASE_URL="sqlite:///other.db").run(*command).complaint()
        assert "has tables that are not the recorder's" in complaint
    assert other.read_bytes() == before


def test_a_folder_in_place_of_a_database_is_named(bare: Program) -> None:
    complaint = bare.using(RECORDER_DATABASE_URL=f"sqlite:///{bare.folder}").run("watch", "a").complaint()
    assert complaint.endswith(f"{bare.folder} cannot be opened: it is a folder")


def test_a_full_disk_is_reported_in_one_line(bare: Program) -> None:
    bare.ok("db", "upgrade")
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            command_line("db", "current"),
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=bare.folder,
            env=bare.environment,
        )
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
