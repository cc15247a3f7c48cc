"""`recorder groups`, `status` and `history`: the API's responses as JSON, and readable tables."""

from __future__ import annotations

import json
import shlex
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from recorder.clock import utc_now
from recorder.store.enrolment import watch_group
from tests.support.databases import ON_SQLITE
from tests.support.postgres import free_port
from tests.support.program import Program
from tests.support.recording import RULES, Recording, active, after, settled

ODD = "a b%ü 日本&?#"
READERS = [["groups"], ["status", "one"], ["history", "one"], ["gaps", "one"], ["completion"]]


def _record(engine: Engine) -> None:
    """Three groups with a history, and an overdue one that was never seen."""
    recording = Recording(engine)
    recording.watch("one")
    recording.see("one", 1, active(queued=3), metadata={"customer": "acme", "n": 1.5})
    recording.see("one", 11, active(queued=2, running=1))
    for seconds in (22, 40, 60, 80):
        recording.fail("one", seconds)
    recording.see("one", 90, settled(completed=2, failed=1), metadata={"customer": "acme", "n": 1.5})
    recording.watch(ODD, at=1)
    recording.see(ODD, 2, settled(completed=1, odd_status=10**25))
    recording.pause(ODD, at=20)
    recording.watch("three", at=1)
    recording.see_raw("three", 3, '{"status": {"num_task_runs": "many", "is_active": 1}, "new": null}')
    hour_ago = utc_now() - (after(3600) - after(0))
    watch_group(engine, "overdue", actor="ada", note=None, now=lambda: hour_ago, rules=RULES)


def path(taskgroup_id: str, resource: str) -> str:
    return f"/api/v1/groups/{urllib.parse.quote(taskgroup_id, safe='')}/{resource}"


def options(**query: str) -> list[str]:
    return [word for name, value in query.items() for word in (f"--{name.rstrip('_')}", value)]


QUERIES: list[tuple[list[str], str, dict[str, str]]] = [
    (["groups"], "/api/v1/groups", query)
    for query in (
        {},
        {"limit": "2"},
        {"state": "watching,paused", "limit": "1000"},
        {"phase": "settled,unclear"},
        {"phase": "empty", "state": "gone"},
    )
]
QUERIES += [(["status", group], path(group, "status"), {}) for group in ("one", ODD, "three", "overdue")]
QUERIES += [(["history", group], path(group, "history"), {}) for group in ("one", ODD, "three", "overdue")]
QUERIES += [
    (["history", "one"], path("one", "history"), query)
    for query in (
        {"limit": "2", "order": "desc"},
        {"kind": "gap,watch"},
        {"from_": "2026-11-24T13:00:11+01:00", "to": "2026-11-24T12:01:00Z"},
        {"from_": "2026-11-24T12:00:05.123456789Z", "kind": "status", "limit": "1"},
        {"to": "1999-01-01T00:00:00Z"},
    )
]
QUERIES += [(["history", ODD], path(ODD, "history"), {"limit": "1", "order": "desc", "kind": "status,watch"})]


@pytest.mark.ledger(fill=_record)
def test_json_equals_the_servers_responses(program: Program) -> None:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with program.using(RECORDER_API_PORT=str(port)).start("serve") as server:
        server.wait_until_it_serves(f"{base}/healthz")
        pages = [page for query in QUERIES for page in compared_pages(program, base, *query)]
    assert len(pages) > len(QUERIES) + 4


def compared_pages(
    program: Program, base: str, command: list[str], resource: str, query: dict[str, str]
) -> Iterator[str]:
    """Compare the command's output with the API's response, page by page; yield the pages' URLs."""
    parameters = {name.rstrip("_"): value for name, value in query.items()}
    url: str | None = f"{resource}?{urllib.parse.urlencode(parameters)}"
    cursor: list[str] = []
    while url is not None:
        printed = json.loads(program.ok(*command, *options(**query), *cursor, "--json"))
        with urllib.request.urlopen(base + url) as answer:
            assert printed == json.loads(answer.read()), url
        yield url
        following = printed.get("next")
        url = following and urllib.parse.urljoin(url, following)
        cursor = ["--cursor", following.rpartition("cursor=")[2]] if following else []


@ON_SQLITE
@pytest.mark.ledger(fill=_record)
def test_json_is_one_line_of_utf_8(program: Program) -> None:
    out = program.ok("status", ODD, "--json")
    assert out.endswith("}\n")
    assert out.count("\n") == 1
    assert ODD in out
    assert str(10**25) in out


@ON_SQLITE
@pytest.mark.ledger(fill=_record)
def test_tables_for_people(program: Program) -> None:
    groups = program.ok("groups")
    for words in (
        "group",
        "phase",
        "runs",
        "last seen",
        "one",
        ODD,
        "overdue",
        "paused",
        "3/3",
        "ago (not_polled)",
    ):
        assert words in groups
    status = program.ok("status", "one")
    for words in (
        "one",
        "watching",
        "settled",
        "3/3 finished",
        "2 completed, 1 failed",
        '"customer": "acme"',
    ):
        assert words in status
    assert "10000000000000000000000000" in program.ok("status", ODD)
    assert "bad_type" in program.ok("status", "three")
    assert "not_polled" in program.ok("status", "overdue")
    history = program.ok("history", "one")
    for words in ("started by ada", "3 queued", "server_error (503), 4 failed polls", "2026-11-24 12:01:30"):
        assert words in history
    assert " open " in program.ok("history", "overdue")
    assert "paused by ada: lunch" in program.ok("history", ODD)


@pytest.mark.ledger(fill=_record)
@ON_SQLITE
@pytest.mark.parametrize("command", [["groups"], ["history", "one"]], ids=" ".join)
def test_a_table_shows_how_to_continue(program: Program, command: list[str]) -> None:
    tables, following = 0, [""]
    while following:
        cursor = ["--cursor", following[0].split()[-1]] if tables else []
        out = program.ok(*command, "--limit", "1", *cursor)
        following = [line for line in out.splitlines() if "--cursor" in line]
        tables += 1
    assert tables == len(json.loads(program.ok(*command, "--json"))["items"])


def test_without_groups_it_says_what_to_do(program: Program) -> None:
    assert "recorder watch" in program.ok("groups")
    assert json.loads(program.ok("groups", "--json")) == {"items": [], "next": None}


@pytest.mark.parametrize("taskgroup_id", ["nobody", "..", "a/b", "", "two\nlines", "\x1b[2J", "g" * 256])
@pytest.mark.parametrize("command", ["status", "history", "completion"])
def test_an_unknown_group_is_reported_in_one_line(
    bare: Program, sqlite_template: Path, command: str, taskgroup_id: str
) -> None:
    here = bare.using(RECORDER_DATABASE_URL=f"sqlite:///{sqlite_template}")
    for arguments in ([command, taskgroup_id], [command, taskgroup_id, "--json"]):
        line = here.run(*arguments).complaint()
        assert taskgroup_id.encode("unicode_escape").decode() in line
        assert line.isprintable()


@pytest.mark.parametrize("command", [*READERS, ["serve"], ["run"]], ids=" ".join)
def test_a_missing_database_is_not_created(bare: Program, command: list[str]) -> None:
    assert "recorder db upgrade" in bare.using(PARALLEL_API_KEY="k").run(*command).complaint()
    assert list(bare.folder.iterdir()) == []


def test_a_database_that_is_blank_foreign_or_newer_is_refused(blank: Program, blank_engine: Engine) -> None:
    commands = [*READERS, [*READERS[1], "--json"], ["serve"], ["run", "--once"]]

    def complaints() -> set[str]:
        return {blank.run(*command).complaint() for command in commands}

    with blank_engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
    assert all("recorder db upgrade" in line for line in complaints())
    with blank_engine.begin() as connection:
        connection.execute(text("CREATE TABLE customers (id INTEGER)"))
    assert all("not the recorder's" in line for line in complaints())
    with blank_engine.begin() as connection:
        connection.execute(text("INSERT INTO alembic_version VALUES ('9999')"))
    assert all("9999" in line and "newer recorder" in line for line in complaints())


BAD_OPTIONS = [
    (["groups", "--limit", "0"], "--limit"),
    (["groups", "--limit", "1001"], "--limit"),
    (["groups", "--limit", "ten"], "--limit"),
    (["groups", "--phase", "done"], "--phase"),
    (["groups", "--state", "watching,"], "--state"),
    (["groups", "--cursor", "x"], "--cursor"),
    (["history", "one", "--kind", "poll"], "--kind"),
    (["history", "one", "--order", "up"], "--order"),
    (["history", "one", "--from", "yesterday"], "--from"),
    (["history", "one", "--to", "2026-11-24T12:00:00"], "--to"),
    (["history", "one", "--from", "2026-11-24T12:00:00Z", "--to", "2026-11-24T11:00:00Z"], "--to"),
    (["history", "one", "--kind", "\x1b[2J"], "--kind"),
]


@pytest.mark.parametrize(("arguments", "name"), BAD_OPTIONS)
def test_a_bad_option_is_wrong_usage(
    bare: Program, sqlite_template: Path, arguments: list[str], name: str
) -> None:
    here = bare.using(RECORDER_DATABASE_URL=f"sqlite:///{sqlite_template}")
    for words in (arguments, [*arguments, "--json"]):
        line = here.run(*words).wrong_usage()
        assert name in line
        assert line.isprintable()


def test_every_bad_option_is_named(bare: Program) -> None:
    line = bare.run("history", "one", "--limit", "0", "--order", "up", "--from", "noon").wrong_usage()
    assert all(name in line for name in ("--limit", "--order", "--from"))


@ON_SQLITE
@pytest.mark.ledger(fill=_record)
def test_a_cursor_from_another_query_is_wrong_usage(program: Program) -> None:
    page = json.loads(program.ok("groups", "--limit", "1", "--json"))
    cursor = page["next"].rpartition("cursor=")[2]
    program.ok("groups", "--cursor", cursor)
    for arguments in (["groups", "--state", "paused"], ["history", "one"]):
        assert "--cursor" in program.run(*arguments, "--cursor", cursor).wrong_usage()


def test_a_status_stored_only_in_its_columns(program: Program, engine: Engine) -> None:
    recording = Recording(engine)
    recording.watch("usual")
    whole = {**active(running=1), "status_message": None, "modified_at": None}
    recording.see("usual", 5, whole, metadata={"customer": "acme", "n": 1.5})
    with engine.connect() as connection:
        extra = connection.execute(text("SELECT extra FROM entries WHERE kind = 'status'")).scalar_one()
    assert extra is None
    assert '{"customer": "acme", "n": 1.5}' in program.ok("status", "usual")
    assert "1 running" in program.ok("history", "usual")
    assert "usual" in program.ok("groups")
    (item,) = json.loads(program.ok("history", "usual", "--kind", "status", "--json"))["items"]
    (group,) = json.loads(program.ok("groups", "--json"))["items"]
    assert item["metadata"] == group["metadata"] == {"customer": "acme", "n": 1.5}
    assert item["status"] == group["status"] == whole


@ON_SQLITE
@pytest.mark.ledger(fill=_record)
def test_the_command_for_the_next_page_can_be_copied(program: Program) -> None:
    words = ["groups", "--state", "watching,paused", "--limit", "1"]
    seen = []
    while True:
        lines = program.ok(*words).splitlines()
        seen.append(lines)
        following = [line for line in lines if line.startswith("there is more: recorder ")]
        if not following:
            break
        words = shlex.split(following[0])[4:]
        assert words.count("--cursor") == 1
    assert 1 < len(seen) == len({tuple(lines) for lines in seen})
