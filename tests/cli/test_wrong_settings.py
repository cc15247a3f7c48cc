"""Invalid settings stop every command that uses them, before it does anything."""

from __future__ import annotations

import pytest

from tests.support.program import PASSWORD, Program

COMMANDS = [
    ["run", "--once"],
    ["run"],
    ["serve"],
    ["up"],
    ["watch", "a"],
    ["unwatch", "a"],
    ["pause", "a"],
    ["groups"],
    ["status", "a", "--json"],
    ["history", "a"],
    ["db", "upgrade"],
    ["db", "downgrade", "base"],
    ["db", "current"],
    ["db", "check"],
]
WAITING = (["run"], ["serve"], ["up"], ["db", "upgrade"])
"""The commands that wait for a server, whose tests are elsewhere."""


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_names_the_setting(bare: Program, command: list[str]) -> None:
    result = bare.using(RECORDER_DATABASE_URL="recorder.db", PARALLEL_API_KEY="k").run(*command)
    line = result.complaint(status=2)
    assert "RECORDER_DATABASE_URL: is not allowed; allowed: sqlite:///FILE" in line
    assert list(bare.folder.iterdir()) == []


@pytest.mark.parametrize("command", [["run"], ["run", "--once"], ["up"], ["watch", "a"]], ids=" ".join)
def test_commands_that_write_entries_name_a_bad_interval(bare: Program, command: list[str]) -> None:
    result = bare.using(RECORDER_POLL_INTERVAL="soon", PARALLEL_API_KEY="k").run(*command)
    line = result.complaint(status=2)
    assert "RECORDER_POLL_INTERVAL: 'soon' " in line
    assert "seconds, more than 0" in line
    assert list(bare.folder.iterdir()) == []


def test_several_settings_are_reported_in_a_line_each(bare: Program) -> None:
    result = bare.using(
        RECORDER_RATE="-1",
        RECORDER_API_HOST="0.0.0.0",
        RECORDER_DATABASE_URL=f"mysql://ada:{PASSWORD}@host/x",
    ).run("up")
    assert (result.status, result.out, len(result.complaints)) == (2, "", 3)
    for name in ("RECORDER_RATE", "RECORDER_API_HOST", "RECORDER_DATABASE_URL"):
        assert name in result.err


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada@127.0.0.1:1/recorder?nonsense=1",
        "sqlite:///recorder.db?nonsense=1",
        "sqlite://ada@host/recorder.db",
        "sqlite:///recorder.db?timeout=long",
    ],
)
def test_a_database_url_that_the_driver_rejects_is_reported_in_one_line(bare: Program, url: str) -> None:
    for command in (["db", "upgrade"], ["watch", "a"], ["up"]):
        result = bare.using(RECORDER_DATABASE_URL=url, PARALLEL_API_KEY="k").run(*command)
        assert result.status in {1, 2}
        assert len(result.complaints) == 1
    assert list(bare.folder.iterdir()) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_password_in_the_query_of_the_url_is_not_printed(bare: Program, database_url: str) -> None:
    program = bare.using(RECORDER_DATABASE_URL=f"{database_url}?password={PASSWORD}")
    for command in (["db", "upgrade"], ["db", "check"], ["watch", "a"], ["db", "downgrade", "base"]):
        program.run(*command)


def test_an_unreachable_database_is_reported_in_one_line(bare: Program) -> None:
    unreachable = bare.using(
        RECORDER_DATABASE_URL=f"postgresql://ada:{PASSWORD}@127.0.0.1:1/recorder", PARALLEL_API_KEY="k"
    )
    for command in (command for command in COMMANDS if command not in WAITING):
        assert "127.0.0.1" in unreachable.run(*command).complaint()
