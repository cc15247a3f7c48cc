"""`recorder import`: into blank databases of either kind, and what is left of one that is refused."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import termios

import pytest
from sqlalchemy import Engine, inspect, text

from tests.support.exports import ODD, exported, record, verified
from tests.support.program import Program

ONE = ["sqlite"]
BOTH_WAYS = pytest.mark.parametrize(
    ("database_url", "blank_database_url"),
    [("sqlite", "postgresql"), ("postgresql", "sqlite")],
    indirect=True,
)


@pytest.fixture
def recorded(engine: Engine) -> Engine:
    record(engine)
    return engine


@BOTH_WAYS
def test_an_export_is_imported_into_a_blank_database_of_either_kind(
    program: Program, blank: Program, recorded: Engine
) -> None:
    """From a file into the one, from a pipe into the other, and back."""
    out = program.ok("export")
    program.folder.joinpath("file").write_text(out)
    result = blank.run("import", "file")
    assert result.status == 0
    assert result.out.startswith("12 entries in 4 groups imported into ")
    assert result.err.startswith("created the tables in ")
    assert blank.ok("export") == out
    for name in ("one", ODD, "never"):
        assert blank.ok("history", name, "--json") == program.ok("history", name, "--json")
        assert blank.ok("completion", name, "--json") == program.ok("completion", name, "--json")
        assert blank.ok("status", name, "--json") == program.ok("status", name, "--json")
    assert "has groups already" in blank.run("import", "file").complaint()
    third = program.using(RECORDER_DATABASE_URL="sqlite:///third.db")
    assert third.run("import", "-", text=blank.ok("export")).status == 0
    assert third.ok("export") == out


def left_in(program: Program, access: Engine) -> list[str]:
    """What a blank database has come to hold; a file of SQLite counts too."""
    if access.dialect.name == "sqlite":
        names = [path.name for path in program.folder.iterdir()]
        return [name for name in names if "blank" in name or ".part" in name]
    return inspect(access).get_table_names()


@pytest.mark.parametrize("database_url", ONE, indirect=True)
def test_what_does_not_verify_is_refused_with_the_number_of_its_line(
    program: Program, blank: Program, blank_engine: Engine, recorded: Engine
) -> None:
    """From a file and from a pipe; a database that was not there is not there then."""
    out = program.ok("export")
    program.folder.joinpath("file").write_text(out.replace('"queued":3', '"queued":4'))
    assert blank.run("import", "file").complaint().startswith("Error: line 8: its digest does not follow")
    assert left_in(blank, blank_engine) == []
    cut = out.encode()[:-30]
    assert blank.run("import", "-", text=cut).complaint().startswith("Error: line 16: not JSON")
    assert left_in(blank, blank_engine) == []
    blank.ok("db", "upgrade")
    assert blank.run("import", "-", text=cut).complaint().startswith("Error: line 16: not JSON")
    assert blank.ok("export") == ""
    assert blank.ok("groups", "--json") == '{"items":[],"next":null}\n'
    assert blank.ok("import", "-").startswith("0 entries in 0 groups imported into ")


@pytest.mark.parametrize("database_url", ONE, indirect=True)
@pytest.mark.parametrize("blank_database_url", ONE, indirect=True)
def test_a_file_that_somebody_makes_meanwhile_is_left_alone(
    blank: Program, blank_database_url: str, recorded: Engine
) -> None:
    out = exported(recorded)
    os.mkfifo(blank.folder / "pipe")
    held = os.open(blank.folder / "pipe", os.O_RDWR)
    os.write(held, out[: len(out) // 2])
    with blank.start("import", "pipe") as running:
        running.wait_until(lambda: _is_empty(held) or None, "it to have read the first half")
        assert blank.run("watch", "mine").status == 0
        os.write(held, out[len(out) // 2 :])
        os.close(held)
        assert running.wait() == 1
        assert "meanwhile" in running.printed
    assert list(verified(blank.ok("export").encode())) == ["mine"]
    assert list(blank.folder.glob(".*")) == []


@pytest.mark.parametrize("blank_database_url", ONE, indirect=True)
def test_a_place_where_no_database_can_be_is_one_line(blank: Program) -> None:
    blank.folder.joinpath("file").touch()
    for place in ("no/such/folder/r.db", "file/r.db", "x" * 300):
        elsewhere = blank.using(RECORDER_DATABASE_URL=f"sqlite:///{place}")
        assert "unable to open" in elsewhere.run("import", "file").complaint()
    assert [path.name for path in blank.folder.iterdir()] == ["file"]


@pytest.mark.parametrize("database_url", ONE, indirect=True)
@pytest.mark.parametrize(
    ("blank_database_url", "number"),
    list(zip(["sqlite", "postgresql"], [signal.SIGINT, signal.SIGTERM], strict=True)),
    indirect=["blank_database_url"],
)
def test_a_signal_ends_an_import_that_waits_for_more(
    blank: Program, blank_engine: Engine, recorded: Engine, number: signal.Signals
) -> None:
    """Its first half has been read, from a pipe that nobody closes."""
    out = exported(recorded)
    os.mkfifo(blank.folder / "pipe")
    held = os.open(blank.folder / "pipe", os.O_RDWR)
    os.write(held, out[: len(out) // 2])
    with blank.start("import", "pipe") as running:
        running.wait_until(lambda: _is_empty(held) or None, "it to have read the first half")
        assert running.stop(number) == 1
        assert running.printed == "Error: stopped: nothing was written\n"
    os.close(held)
    assert left_in(blank, blank_engine) == []
    assert blank.run("import", "-", text=out).status == 0


def _is_empty(pipe: int) -> bool:
    """Whether nothing is left to be read from a pipe."""
    (left,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))
    return left == 0


@pytest.mark.parametrize("blank_database_url", ONE, indirect=True)
def test_groups_of_others_are_left_alone(blank: Program, blank_engine: Engine) -> None:
    with blank_engine.begin() as connection:
        connection.execute(text("CREATE TABLE customers (id INTEGER)"))
    assert "not the recorder's" in blank.run("import", "-").complaint()
