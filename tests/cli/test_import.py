"""`recorder import`: into empty databases of either kind, and what a failed import leaves behind."""

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

SQLITE = ["sqlite"]
BOTH_WAYS = pytest.mark.parametrize(
    ("database_url", "blank_database_url"),
    [("sqlite", "postgresql"), ("postgresql", "sqlite")],
    indirect=True,
)


@pytest.mark.ledger(fill=record)
@BOTH_WAYS
def test_an_export_is_imported_into_the_other_kind_of_database(
    program: Program, blank: Program, engine: Engine
) -> None:
    """From a file, and from a pipe."""
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


def created_in(program: Program, engine: Engine) -> list[str]:
    """The tables that were created, or the files in the case of SQLite."""
    if engine.dialect.name == "sqlite":
        names = [path.name for path in program.folder.iterdir()]
        return [name for name in names if "blank" in name or ".part" in name]
    return inspect(engine).get_table_names()


@pytest.mark.ledger(fill=record)
@pytest.mark.parametrize("database_url", SQLITE, indirect=True)
def test_a_line_that_does_not_verify_is_refused_with_its_number(
    program: Program, blank: Program, blank_engine: Engine
) -> None:
    """From a file and from a pipe; a database that did not exist is not created."""
    out = program.ok("export")
    program.folder.joinpath("file").write_text(out.replace('"queued":3', '"queued":4'))
    assert blank.run("import", "file").complaint().startswith("Error: line 8: its digest does not follow")
    assert created_in(blank, blank_engine) == []
    cut = out.encode()[:-30]
    assert blank.run("import", "-", text=cut).complaint().startswith("Error: line 16: not JSON")
    assert created_in(blank, blank_engine) == []
    blank.ok("db", "upgrade")
    assert blank.run("import", "-", text=cut).complaint().startswith("Error: line 16: not JSON")
    assert blank.ok("export") == ""
    assert blank.ok("groups", "--json") == '{"items":[],"next":null}\n'
    assert blank.ok("import", "-").startswith("0 entries in 0 groups imported into ")


@pytest.mark.ledger(fill=record)
@pytest.mark.parametrize("database_url", SQLITE, indirect=True)
@pytest.mark.parametrize("blank_database_url", SQLITE, indirect=True)
def test_a_database_created_in_the_meantime_is_left_alone(
    blank: Program, blank_database_url: str, engine: Engine
) -> None:
    out = exported(engine)
    os.mkfifo(blank.folder / "pipe")
    pipe = os.open(blank.folder / "pipe", os.O_RDWR)
    os.write(pipe, out[: len(out) // 2])
    with blank.start("import", "pipe") as running:
        running.wait_until(lambda: _is_empty(pipe) or None, "it to have read the first half")
        assert blank.run("watch", "mine").status == 0
        os.write(pipe, out[len(out) // 2 :])
        os.close(pipe)
        assert running.wait() == 1
        assert "meanwhile" in running.printed
    assert list(verified(blank.ok("export").encode())) == ["mine"]
    assert list(blank.folder.glob(".*")) == []


@pytest.mark.parametrize("blank_database_url", SQLITE, indirect=True)
def test_an_impossible_path_is_reported_in_one_line(blank: Program) -> None:
    blank.folder.joinpath("file").touch()
    for path in ("no/such/folder/r.db", "file/r.db", "x" * 300):
        elsewhere = blank.using(RECORDER_DATABASE_URL=f"sqlite:///{path}")
        complaint = elsewhere.run("import", "file").complaint()
        assert str(blank.folder) in complaint
        assert any(why in complaint for why in ("there is no folder", "unable to open", "name too long"))
    assert [path.name for path in blank.folder.iterdir()] == ["file"]


@pytest.mark.ledger(fill=record)
@pytest.mark.parametrize("database_url", SQLITE, indirect=True)
@pytest.mark.parametrize(
    ("blank_database_url", "number"),
    list(zip(["sqlite", "postgresql"], [signal.SIGINT, signal.SIGTERM], strict=True)),
    indirect=["blank_database_url"],
)
def test_a_signal_stops_an_import_that_waits_for_input(
    blank: Program, blank_engine: Engine, engine: Engine, number: signal.Signals
) -> None:
    """The first half has been read from a pipe that stays open."""
    out = exported(engine)
    os.mkfifo(blank.folder / "pipe")
    pipe = os.open(blank.folder / "pipe", os.O_RDWR)
    os.write(pipe, out[: len(out) // 2])
    with blank.start("import", "pipe") as running:
        running.wait_until(lambda: _is_empty(pipe) or None, "it to have read the first half")
        assert running.stop(number) == 1
        assert running.printed == "Error: stopped: nothing was written\n"
    os.close(pipe)
    assert created_in(blank, blank_engine) == []
    assert blank.run("import", "-", text=out).status == 0


def _is_empty(pipe: int) -> bool:
    """Whether a pipe has been read to its end."""
    (unread,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))
    return unread == 0


@pytest.mark.parametrize("blank_database_url", SQLITE, indirect=True)
def test_a_foreign_database_is_left_alone(blank: Program, blank_engine: Engine) -> None:
    with blank_engine.begin() as connection:
        connection.execute(text("CREATE TABLE customers (id INTEGER)"))
    assert "not the recorder's" in blank.run("import", "-").complaint()
