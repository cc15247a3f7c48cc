"""`recorder db`: making, moving and checking the schema, whatever the database holds."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, inspect, text

from tests.program import PASSWORD, Program

HEAD = "0002"
SUBCOMMANDS = [["upgrade"], ["downgrade", "base"], ["current"], ["check"]]


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


def test_a_blank_database_is_brought_to_head_and_back(blank: Program, blank_access: Engine) -> None:
    assert f"empty -> {HEAD}" in blank.ok("db", "upgrade")
    assert {"watches", "entries", "recorders"} < tables(blank_access)
    assert f"{HEAD} -> {HEAD}" in blank.ok("db", "upgrade")
    assert blank.ok("db", "current").startswith(f"{HEAD} ")
    blank.ok("db", "check")
    assert f"{HEAD} -> base" in blank.ok("db", "downgrade", "base")
    assert tables(blank_access) <= {"alembic_version"}
    assert blank.ok("db", "current").startswith("none ")
    assert "recorder db upgrade" in blank.run("db", "check").complaint()
    assert "no schema" in blank.run("db", "downgrade", "base").complaint()
    assert f"empty -> {HEAD}" in blank.ok("db", "upgrade")


def test_a_ledger_with_entries_is_not_dropped_unless_told(program: Program, engine: Engine) -> None:
    program.ok("watch", "one", "two")
    line = program.run("db", "downgrade", "base").complaint()
    assert "2 entries" in line
    assert "--discard-ledger" in line
    assert program.ok("groups").count("watching") == 2
    program.ok("db", "downgrade", "base", "--discard-ledger")
    assert tables(engine) <= {"alembic_version"}


def test_only_revisions_of_this_program_are_taken_back_to(program: Program) -> None:
    for revision in ("nonsense", "-1", "head", "0001:0002"):
        line = program.run("db", "downgrade", "--", revision).complaint()
        assert "base" in line
    program.ok("db", "check")
    program.ok("db", "downgrade", "0001")
    assert "allowed: base, 0001" in program.run("db", "downgrade", HEAD).complaint()


def test_a_foreign_database_is_left_alone(blank: Program, blank_access: Engine) -> None:
    with blank_access.begin() as connection:
        connection.execute(text("CREATE TABLE customers (id INTEGER)"))
    for subcommand in (["upgrade"], ["check"]):
        assert "not the recorder's" in blank.run("db", *subcommand).complaint()
    assert blank.run("db", "downgrade", "base", "--discard-ledger").status == 1
    assert tables(blank_access) == {"customers"}


def test_a_newer_database_is_left_alone(program: Program, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for subcommand in (
        ["upgrade"],
        ["downgrade", "0001"],
        ["downgrade", "base", "--discard-ledger"],
        ["check"],
    ):
        line = program.run("db", *subcommand).complaint()
        assert "9999" in line
        assert "newer recorder" in line
    assert program.ok("db", "current").startswith("9999 ")
    assert "entries" in tables(engine)


def test_the_check_names_what_differs(program: Program, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE recorders"))
    result = program.run("db", "check")
    assert (result.status, result.out, result.err) == (1, "table recorders: is missing\n", "")


def test_a_database_that_is_not_there_is_not_made_by_looking(bare: Program) -> None:
    for subcommand in (["downgrade", "base"], ["current"], ["check"]):
        assert "recorder db upgrade" in bare.run("db", *subcommand).complaint()
    assert list(bare.folder.iterdir()) == []


def test_a_postgresql_database_that_is_not_there_is_named(bare: Program, postgres: str) -> None:
    url = postgres.replace("postgres@", f"postgres:{PASSWORD}@").rpartition("/")[0] + "/no_such_database"
    for subcommand in SUBCOMMANDS:
        line = bare.using(RECORDER_DATABASE_URL=url).run("db", *subcommand).complaint()
        assert "no_such_database" in line


@pytest.mark.parametrize("path", ["file/recorder.db", "folder", "no/such/folder/recorder.db"])
def test_a_place_where_no_database_can_be_is_one_line(bare: Program, path: str) -> None:
    bare.folder.joinpath("file").write_text("")
    bare.folder.joinpath("folder").mkdir()
    here = bare.using(RECORDER_DATABASE_URL=f"sqlite:///{path}", PARALLEL_API_KEY="k")
    for command in (["watch", "one"], ["groups"], ["up"], *(["db", *words] for words in SUBCOMMANDS)):
        here.run(*command).complaint()


@pytest.mark.parametrize("command", [["watch", "one"], ["groups"], ["up"], ["serve"], ["pause", "one"]])
def test_a_file_that_is_no_database_is_one_line(bare: Program, command: list[str]) -> None:
    bare.folder.joinpath("recorder.db").write_text("Dear diary,\n" * 100)
    bare.using(PARALLEL_API_KEY="k").run(*command).complaint()


@pytest.mark.parametrize("subcommand", SUBCOMMANDS, ids=" ".join)
def test_no_schema_is_moved_in_a_file_that_is_no_database(bare: Program, subcommand: list[str]) -> None:
    diary = bare.folder.joinpath("recorder.db")
    diary.write_text("Dear diary,\n" * 100)
    bare.run("db", *subcommand).complaint()
    assert diary.read_text() == "Dear diary,\n" * 100


def test_grants_are_for_postgresql(program: Program, engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        assert "no roles" in program.run("db", "grants").complaint()
        return
    begin, *said, commit = program.ok("db", "grants", "--api", 'odd "name"').splitlines()
    assert (begin, commit) == ("BEGIN;", "COMMIT;")
    assert all(line.endswith(";") for line in said)
    assert 'GRANT SELECT, INSERT ON entries TO "recorder";' in said
    assert 'GRANT SELECT ON entries, watches, recorders TO "odd ""name""";' in said
    line = program.run("db", "grants", "--recorder", "nobody-knows-it", "--apply").complaint()
    assert "nobody-knows-it" in line
    assert "a role each" in program.run("db", "grants", "--api", "recorder").complaint()
