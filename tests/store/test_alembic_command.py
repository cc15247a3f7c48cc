"""The plain `alembic` command in a checkout, on both databases."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, func, inspect, select

from recorder.completion.summary import SUMMARY_RULES
from recorder.store.engine import check_url, open_engine
from recorder.store.schema import known_revisions, state_of
from recorder.store.schema_diff import differences
from recorder.store.tables import episodes, summaries
from recorder.store.transactions import reading, writing
from tests.support.forker import Forker
from tests.support.program import Program, Result, require_clean
from tests.support.store_samples import body, enrol, poll, seen

CLONE = Path(__file__).parents[2]
INI = str(CLONE / "alembic.ini")
HEAD = "0022"


def installed_alembic(folder: Path, *arguments: str, **settings: str) -> Result:
    """Run the installed script in a working folder with only these settings."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith("RECORDER_")}
    process = subprocess.run(
        [str(Path(sys.executable).with_name("alembic")), *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**outer, **settings},
        timeout=120,
    )
    return Result(process.returncode, require_clean(process.stdout), require_clean(process.stderr))


def ok(result: Result) -> str:
    assert result.status == 0, result
    return result.out


def refusal(result: Result) -> str:
    """Return the single line with which the command failed."""
    failed = [line for line in result.out.splitlines() if line.startswith("FAILED: ")]
    assert result.status != 0 and len(failed) == 1, result
    assert failed[0].removeprefix("FAILED: ") not in result.err, result
    return failed[0]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A working folder outside the checkout."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


Alembic = Callable[..., Result]
"""Runs the command with the checkout's `alembic.ini`."""


@pytest.fixture
def alembic(elsewhere: Path, forker: Forker) -> Alembic:
    """The command in a working folder outside the checkout, with only the given settings."""

    def run(*arguments: str, **settings: str) -> Result:
        return Program(elsewhere, forker, settings, "alembic").run("-c", INI, *arguments)

    return run


def _stored_counts(engine: Engine) -> list[int]:
    """Return the numbers of summaries and episodes, and the version of the summaries' rules."""
    with reading(engine) as connection:
        return [
            connection.scalar(select(found)) or 0
            for found in (
                func.count(summaries.c.seq),
                func.count(episodes.c.number),
                func.max(summaries.c.rules),
            )
        ]


def test_from_another_folder_with_the_settings_in_env(
    elsewhere: Path, alembic: Alembic, engine: Engine, database_url: str
) -> None:
    """An upgrade fills the derived tables, as `recorder db upgrade` does; other commands do not."""
    enrol(engine, "tgrp_1")
    poll(engine, "tgrp_1", seen(body("tgrp_1", 1), 1))
    url = database_url
    if engine.dialect.name == "sqlite":
        url = f"sqlite:///{os.path.relpath(str(engine.url.database), elsewhere)}"
    elsewhere.joinpath(".env").write_text(f"RECORDER_DATABASE_URL={url}\nRECORDER_RATE=fast\n")
    ok(installed_alembic(elsewhere, "-c", INI, "downgrade", "-1"))
    assert state_of(engine).current == known_revisions()[1]
    ok(alembic("upgrade", "head"))
    assert state_of(engine).at_head and _stored_counts(engine) == [1, 1, SUMMARY_RULES]
    with writing(engine) as connection:
        connection.execute(summaries.update().values(rules=0))
    assert ok(alembic("current")) == f"{HEAD} (head)\n"
    assert "No new upgrade operations detected" in ok(alembic("check"))
    assert _stored_counts(engine) == [1, 1, 0]
    ok(alembic("upgrade", "head"))
    assert _stored_counts(engine) == [1, 1, SUMMARY_RULES]


def test_a_ledger_with_entries_is_dropped_only_on_request(
    alembic: Alembic, engine: Engine, database_url: str
) -> None:
    enrol(engine, "tgrp_1")
    refused = alembic("downgrade", "base", RECORDER_DATABASE_URL=database_url)
    assert "1 entry" in refusal(refused) and "-x discard_ledger=yes" in refusal(refused)
    no = ("-x", "discard_ledger=no", "downgrade", "base")
    assert "1 entry" in refusal(alembic(*no, RECORDER_DATABASE_URL=database_url))
    assert state_of(engine).at_head
    yes = ("-x", "discard_ledger=yes", "downgrade", "base")
    ok(alembic(*yes, RECORDER_DATABASE_URL=database_url))
    assert set(inspect(engine).get_table_names()) == {"alembic_version"}


def test_an_offline_upgrade_script_creates_the_schema(
    alembic: Alembic, blank_engine: Engine, blank_database_url: str
) -> None:
    script = ok(alembic("upgrade", "head", "--sql", RECORDER_DATABASE_URL=blank_database_url))
    if blank_engine.dialect.name == "sqlite":
        with sqlite3.connect(str(blank_engine.url.database)) as connection:
            connection.executescript(script)
        connection.close()
    else:
        with psycopg.connect(blank_database_url, autocommit=True) as server:
            server.execute(script.encode())
    assert state_of(blank_engine).at_head
    assert differences(blank_engine) == []


def test_a_generated_revision_does_not_import_the_recorder(
    tmp_path: Path, engine: Engine, database_url: str
) -> None:
    copy = tmp_path / "clone"
    for name in ("migrations", "recorder"):
        shutil.copytree(CLONE / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CLONE / "alembic.ini", copy)
    with (copy / "recorder/store/tables.py").open("a") as tables:
        tables.write(
            'notes = Table("notes", metadata, Column("taskgroup_id", Id, primary_key=True),\n'
            '    Column("written_at", Time, index=True), sqlite_with_rowid=False)\n'
            'watches.append_column(Column("seen_by", Time))\n'
        )
    settings = {"RECORDER_DATABASE_URL": database_url}
    ok(installed_alembic(copy, "revision", "--autogenerate", "-m", "add notes", **settings))
    revision = (copy / "migrations/versions" / f"{int(HEAD) + 1:04}_add_notes.py").read_text()
    assert set(re.findall(r"^(?:from|import) .*", revision, re.MULTILINE)) == {
        "from __future__ import annotations",
        "import sqlalchemy as sa",
        "from alembic import op",
    }
    assert "recorder" not in revision and "drop" not in revision.partition("def downgrade")[0]
    ok(installed_alembic(copy, "upgrade", "head", **settings))
    assert "No new upgrade operations detected" in ok(installed_alembic(copy, "check", **settings))
    assert {"notes", "watches"} < set(inspect(engine).get_table_names())


def test_errors_are_reported_in_one_line(elsewhere: Path, alembic: Alembic) -> None:
    wrong = alembic("current", RECORDER_DATABASE_URL="oracle://there")
    assert "RECORDER_DATABASE_URL" in refusal(wrong)
    assert "no database at sqlite:///recorder.db" in refusal(alembic("current"))
    assert "script" in refusal(alembic("downgrade", "0003:0002", "--sql"))
    assert list(elsewhere.iterdir()) == []
    with sqlite3.connect(elsewhere / "recorder.db") as connection:
        connection.execute("CREATE TABLE invoices (number INTEGER)")
    connection.close()
    for command in (["upgrade", "head"], ["downgrade", "-1"], ["current"], ["check"]):
        assert "not the recorder's" in refusal(alembic(*command))


def test_a_newer_revision_is_refused_and_a_stamp_repairs_a_lost_one(
    elsewhere: Path, alembic: Alembic
) -> None:
    ok(alembic("upgrade", "head"))
    _set_revision(elsewhere / "recorder.db", "UPDATE alembic_version SET version_num = '9999'")
    for command in (["upgrade", "head"], ["downgrade", "-1"], ["current"], ["check"]):
        assert "revision 9999, which this program does not know" in refusal(alembic(*command))
    _set_revision(elsewhere / "recorder.db", "DELETE FROM alembic_version")
    ok(alembic("stamp", HEAD))
    assert "No new upgrade operations" in ok(alembic("check"))


def test_several_heads_are_refused_and_a_stamp_leaves_one(elsewhere: Path, alembic: Alembic) -> None:
    ok(alembic("upgrade", "head"))
    _set_revision(elsewhere / "recorder.db", "INSERT INTO alembic_version VALUES ('0001')")
    for command in (["upgrade", "head"], ["current"]):
        assert f"several Alembic heads: 0001, {HEAD}" in refusal(alembic(*command))
    ok(alembic("stamp", "--purge", HEAD))
    assert "No new upgrade operations" in ok(alembic("check"))


def _set_revision(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


def test_the_history_needs_no_database_and_an_upgrade_creates_it(elsewhere: Path, alembic: Alembic) -> None:
    assert ok(alembic("history")).startswith(f"{known_revisions()[1]} -> {HEAD} (head), ")
    ok(alembic("upgrade", "head"))
    engine = open_engine(check_url(f"sqlite:///{elsewhere / 'recorder.db'}"))
    assert differences(engine) == []
    engine.dispose()
