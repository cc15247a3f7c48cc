"""`recorder db` on databases in every state: blank, current, newer, foreign, damaged or missing."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from operator import ne

import pytest
from sqlalchemy import Engine, delete, inspect, select, text, update

from recorder.store.grants import GRANTED_TABLES
from recorder.store.tables import episodes, group_labels, summaries, watches
from tests.support.postgres import waiting_sessions
from tests.support.program import PASSWORD, STOP_SECONDS, Program, command_line, wait_until
from tests.support.recording import Recording, active, settled
from tests.support.terminal import read_all

HEAD = "0022"
SUBCOMMANDS = [["upgrade"], ["downgrade", "base"], ["current"], ["check"], ["rebuild"]]


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


def test_a_blank_database_is_upgraded_and_downgraded(blank: Program, blank_engine: Engine) -> None:
    assert f"empty -> {HEAD}" in blank.ok("db", "upgrade")
    assert {"watches", "entries", "recorders"} < tables(blank_engine)
    assert f"{HEAD} -> {HEAD}" in blank.ok("db", "upgrade")
    assert blank.ok("db", "current").startswith(f"{HEAD} ")
    blank.ok("db", "check")
    assert f"{HEAD} -> base" in blank.ok("db", "downgrade", "base")
    assert tables(blank_engine) <= {"alembic_version"}
    assert blank.ok("db", "current").startswith("none ")
    for subcommand in ("check", "rebuild"):
        assert "recorder db upgrade" in blank.run("db", subcommand).complaint()
    assert "no schema" in blank.run("db", "downgrade", "base").complaint()
    assert f"empty -> {HEAD}" in blank.ok("db", "upgrade")


def test_a_ledger_with_entries_is_dropped_only_on_request(program: Program, engine: Engine) -> None:
    program.ok("watch", "--exact", "one", "two")
    line = program.run("db", "downgrade", "base").complaint()
    assert "2 entries" in line
    assert "--discard-ledger" in line
    assert program.ok("groups").count("watching") == 2
    program.ok("db", "downgrade", "base", "--discard-ledger")
    assert tables(engine) <= {"alembic_version"}


def test_a_downgrade_takes_only_earlier_revisions(program: Program) -> None:
    for revision in ("nonsense", "-1", "head", "0001:0002"):
        line = program.run("db", "downgrade", "--", revision).complaint()
        assert "base" in line
    program.ok("db", "check")
    program.ok("db", "downgrade", "0001")
    assert "allowed: base, 0001" in program.run("db", "downgrade", HEAD).complaint()


def test_a_foreign_database_is_left_alone(blank: Program, blank_engine: Engine) -> None:
    with blank_engine.begin() as connection:
        connection.execute(text("CREATE TABLE customers (id INTEGER)"))
    for subcommand in (["upgrade"], ["check"], ["rebuild"]):
        assert "not the recorder's" in blank.run("db", *subcommand).complaint()
    assert blank.run("db", "downgrade", "base", "--discard-ledger").status == 1
    assert tables(blank_engine) == {"customers"}


def test_a_newer_database_is_left_alone(program: Program, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for subcommand in (
        ["upgrade"],
        ["downgrade", "0001"],
        ["downgrade", "base", "--discard-ledger"],
        ["check"],
        ["rebuild"],
    ):
        line = program.run("db", *subcommand).complaint()
        assert "9999" in line
        assert "newer recorder" in line
    assert program.ok("db", "current").startswith("9999 ")
    assert "entries" in tables(engine)


def test_a_database_with_several_heads_is_left_alone(program: Program, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO alembic_version VALUES ('0001')"))
    for command in (
        ["db", "upgrade"],
        ["db", "downgrade", "base", "--discard-ledger"],
        ["db", "check"],
        ["groups"],
        ["watch", "one"],
        ["run", "--check"],
    ):
        line = program.run(*command).complaint()
        assert f"several Alembic heads: 0001, {HEAD};" in line
        assert "alembic stamp --purge REVISION" in line
    assert program.ok("db", "current").startswith(f"0001, {HEAD} ")
    assert "entries" in tables(engine)


def test_the_check_names_what_differs(program: Program, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE recorders"))
    result = program.run("db", "check")
    assert (result.status, result.out, result.err) == (1, "table recorders: is missing\n", "")


def test_a_missing_database_is_created_by_upgrade_alone(bare: Program) -> None:
    for subcommand in (["downgrade", "base"], ["current"], ["check"], ["rebuild"]):
        assert "recorder db upgrade" in bare.run("db", *subcommand).complaint()
    assert list(bare.folder.iterdir()) == []


def test_a_missing_postgresql_database_is_named(bare: Program, postgres: str) -> None:
    url = postgres.replace("postgres@", f"postgres:{PASSWORD}@").rpartition("/")[0] + "/no_such_database"
    for subcommand in SUBCOMMANDS:
        line = bare.using(RECORDER_DATABASE_URL=url).run("db", *subcommand).complaint()
        assert "no_such_database" in line


@pytest.mark.parametrize("path", ["file/recorder.db", "folder", "no/such/folder/recorder.db"])
def test_an_impossible_path_is_reported_in_one_line(bare: Program, path: str) -> None:
    bare.folder.joinpath("file").write_text("")
    bare.folder.joinpath("folder").mkdir()
    here = bare.using(RECORDER_DATABASE_URL=f"sqlite:///{path}", PARALLEL_API_KEY="k")
    for command in (["watch", "one"], ["groups"], ["up"], *(["db", *words] for words in SUBCOMMANDS)):
        here.run(*command).complaint()


@pytest.mark.parametrize("command", [["watch", "one"], ["groups"], ["up"], ["serve"], ["pause", "one"]])
def test_a_file_that_is_not_a_database_is_reported_in_one_line(bare: Program, command: list[str]) -> None:
    bare.folder.joinpath("recorder.db").write_text("Dear diary,\n" * 100)
    bare.using(PARALLEL_API_KEY="k").run(*command).complaint()


@pytest.mark.parametrize("subcommand", SUBCOMMANDS, ids=" ".join)
def test_a_file_that_is_not_a_database_is_not_changed(bare: Program, subcommand: list[str]) -> None:
    diary = bare.folder.joinpath("recorder.db")
    diary.write_text("Dear diary,\n" * 100)
    bare.run("db", *subcommand).complaint()
    assert diary.read_text() == "Dear diary,\n" * 100


def test_grants_are_for_postgresql(program: Program, engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        assert "no roles" in program.run("db", "grants").complaint()
        return
    begin, *statements, commit = program.ok("db", "grants", "--api", 'odd "name"').splitlines()
    assert (begin, commit) == ("BEGIN;", "COMMIT;")
    assert all(line.endswith(";") for line in statements)
    assert 'GRANT SELECT, INSERT ON entries, request_keys TO "recorder";' in statements
    readable = ", ".join(name for name in GRANTED_TABLES if name not in {"request_keys", "alembic_version"})
    assert f'GRANT SELECT ON {readable} TO "odd ""name""";' in statements
    line = program.run("db", "grants", "--recorder", "nobody-knows-it", "--apply").complaint()
    assert "nobody-knows-it" in line
    assert "a role each" in program.run("db", "grants", "--api", "recorder").complaint()


@pytest.fixture
def recorded(engine: Engine) -> Engine:
    """Three groups: one completed, one active, one never seen."""
    recording = Recording(engine)
    recording.watch("done")
    recording.see("done", 1, active(running=2), metadata={"processor": "lite"})
    recording.see("done", 21, settled(completed=2), metadata={"processor": "lite"})
    recording.watch("going", at=30)
    recording.see("going", 31, active(running=1), metadata={"processor": "lite"})
    recording.watch("never", at=40)
    return engine


def completion_answers(program: Program) -> list[str]:
    selected = program.ok("completion", "--metadata", "processor=lite", "--json")
    return [selected, *(program.ok("completion", name, "--json") for name in ("done", "going", "never"))]


def test_a_rebuild_repairs_the_derived_tables(program: Program, recorded: Engine) -> None:
    before = completion_answers(program)
    with recorded.begin() as connection:
        connection.execute(update(episodes).values(polls=99, duration_seconds=1e6))
        connection.execute(delete(group_labels))
    assert all(map(ne, before[:2], completion_answers(program)))
    with recorded.begin() as connection:
        connection.execute(delete(summaries))
    refused = program.run("completion")
    assert (refused.status, refused.out) == (1, "") and "0 of 3 groups are done" in refused.err
    result = program.run("db", "rebuild")
    assert (result.status, result.out, result.err) == (0, "rebuilt 3 groups from the ledger\n", "")
    assert completion_answers(program) == before
    program.ok("db", "check")


def test_a_rebuild_without_groups_reports_zero(program: Program) -> None:
    assert program.ok("db", "rebuild") == "rebuilt 0 groups from the ledger\n"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_rebuild_shows_a_progress_bar_in_a_terminal(program: Program, recorded: Engine) -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        command_line("db", "rebuild"),
        stdout=subprocess.PIPE,
        stderr=terminal,
        cwd=program.folder,
        env={**program.environment, "TERM": "xterm-256color", "COLUMNS": "80"},
    )
    os.close(terminal)
    assert "100%" in read_all(controller)
    out, _ = process.communicate(timeout=STOP_SECONDS)
    os.close(controller)
    assert (process.returncode, out) == (0, b"rebuilt 3 groups from the ledger\n")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_rebuild_between_two_groups(
    program: Program, recorded: Engine, number: signal.Signals
) -> None:
    recording = Recording(recorded)
    recording.watch("last", at=50)
    recording.see("last", 51, active(running=1))
    with recorded.begin() as connection:
        connection.execute(update(episodes).values(polls=99))
    others = (
        select(watches.c.taskgroup_id).where(watches.c.taskgroup_id.in_(["going", "last"])).with_for_update()
    )
    with program.start("db", "rebuild") as rebuild:
        with recorded.begin() as connection:
            connection.execute(others)
            wait_until(lambda: waiting_sessions(recorded) or None, "the rebuild to wait for a locked group")
            rebuild.process.send_signal(number)
        assert rebuild.wait() == 1
        assert "stopped after 3 groups of 4; the others are unchanged" in rebuild.printed
    with recorded.begin() as connection:
        found = connection.execute(select(episodes.c.taskgroup_id, episodes.c.polls)).all()
    polls = {row.taskgroup_id: row.polls for row in found}
    assert (polls["done"], polls["last"]) == (2, 99)
    assert polls["going"] != 99


def test_the_help_lists_each_command_with_a_whole_sentence(program: Program) -> None:
    listed = program.ok("db", "--help").partition("Commands:\n")[2].splitlines()
    assert len(listed) == 7
    assert all(line.endswith(".") and not line.endswith("...") for line in listed), listed


def test_an_upgrade_tells_how_many_groups_it_derives_anew(program: Program, recorded: Engine) -> None:
    before = completion_answers(program)
    with recorded.begin() as connection:
        connection.execute(update(summaries).values(rules=0))
        connection.execute(update(episodes).values(polls=99))
    told = "completion is being derived anew: 0 of 3 groups are done (see: recorder db upgrade)"
    assert told in program.ok("db", "current")
    assert program.run("db", "check").status == 1
    upgraded = program.run("db", "upgrade")
    assert (upgraded.status, upgraded.err) == (0, "deriving completion anew, groups: 3 of 3\n")
    assert "derived anew" not in program.ok("db", "current")
    assert completion_answers(program) == before
