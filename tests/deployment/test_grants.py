"""The privileges set by `recorder db grants`, read from PostgreSQL's catalog."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Connection, Engine, text

from recorder.store.grants import GrantsError, Roles, apply
from recorder.store.transactions import writing

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

VIEWS = (
    *("status_history", "latest_status", "group_completion"),
    *("group_milestones", "group_metadata", "observation_gaps", "archived_groups", "task_runs"),
)
DERIVED = ("episodes", "milestones", "group_labels", "labelled_durations", "summaries")
EVENTS = ("events", "published_events", "upstream_state", "sinks", "delivery_lease")
ARCHIVE = ("tombstones", "archive_turns")
RUNS = ("run_snapshots", "run_claims")
TABLES = (
    *("entries", "watches", *ARCHIVE, *DERIVED, *EVENTS, *RUNS),
    *("deliveries", "recorders", "request_keys", "alembic_version"),
)
READ = {name: {"SELECT"} for name in (*TABLES, *VIEWS) if name != "request_keys"}
EXPECTED = {
    "recorder": {
        **{name: {"SELECT", "INSERT"} for name in ("entries", "request_keys", *RUNS)},
        **{name: {"SELECT", "INSERT", "UPDATE"} for name in ("watches", *EVENTS)},
        **{name: {"SELECT", "INSERT", "UPDATE", "DELETE"} for name in (*DERIVED, "deliveries", "recorders")},
        "tombstones": {"SELECT"},
        "archive_turns": {"SELECT", "UPDATE"},
        **{name: {"SELECT"} for name in ("alembic_version", *VIEWS)},
    },
    "api": READ,
    "reporting": {name: {"SELECT"} for name in VIEWS},
}


@pytest.fixture
def roles(postgres: str) -> Iterator[Roles]:
    """Roles with names that require quoting."""
    suffix = secrets.token_hex(4)
    roles = Roles(f'The "Recorder" {suffix}', f"100%s; :api {suffix}", f"reporting'{suffix}")
    names = [sql.Identifier(name) for name in (roles.recorder, roles.api, roles.reporting)]
    with psycopg.connect(postgres, autocommit=True) as server:
        for name in names:
            server.execute(sql.SQL("CREATE ROLE {}").format(name))
        yield roles
        for name in names:
            server.execute(sql.SQL("DROP ROLE {}").format(name))


@pytest.fixture
def connection(engine: Engine, roles: Roles) -> Iterator[Connection]:
    """A transaction that is rolled back, so that the roles can be dropped."""
    with engine.connect() as connection, connection.begin() as transaction:
        yield connection
        transaction.rollback()


def _privileges(connection: Connection, grantee: str | None) -> dict[str, set[str]]:
    """Return the privileges of a role, or of PUBLIC, on each table and view."""
    query = """
        SELECT c.relname, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a
        LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.relnamespace = 'public'::regnamespace AND r.rolname IS NOT DISTINCT FROM :grantee"""
    privileges: dict[str, set[str]] = {}
    for relation, privilege in connection.execute(text(query), {"grantee": grantee}):
        privileges.setdefault(relation, set()).add(privilege)
    return privileges


def _assert_exact(connection: Connection, roles: Roles) -> None:
    for role, expected in EXPECTED.items():
        assert _privileges(connection, getattr(roles, role)) == expected
    assert _privileges(connection, None) == {}


def test_roles_have_exactly_the_expected_privileges(connection: Connection, roles: Roles) -> None:
    apply(connection, roles)
    _assert_exact(connection, roles)


def test_a_role_that_archives_may_let_entries_go(connection: Connection, roles: Roles) -> None:
    apply(connection, roles, archiving=True)
    found = _privileges(connection, roles.recorder)
    more = {"entries": {"DELETE"}, "watches": {"DELETE"}, "tombstones": {"INSERT", "DELETE"}}
    assert found == {name: given | more.get(name, set()) for name, given in EXPECTED["recorder"].items()}
    apply(connection, roles)
    _assert_exact(connection, roles)


def test_every_table_and_view_is_covered(connection: Connection) -> None:
    names = (
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')"
    )
    assert set(connection.scalars(text(names))) == {*TABLES, *VIEWS}


def test_earlier_privileges_are_revoked(connection: Connection, roles: Roles) -> None:
    for grantee in ("PUBLIC", f'"{roles.api}"', f'"{roles.reporting}"'):
        everything = f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {grantee}"
        connection.exec_driver_sql(everything, execution_options={"no_parameters": True})
    for _ in range(2):
        apply(connection, roles)
        _assert_exact(connection, roles)


@pytest.mark.parametrize(
    ("role", "words"),
    [("nobody's", "CREATE ROLE"), ("postgres", "grants cannot restrict it")],
    ids=["missing", "owner"],
)
def test_an_unsuitable_role_is_refused(engine: Engine, roles: Roles, role: str, words: str) -> None:
    with pytest.raises(GrantsError, match=words), writing(engine) as connection:
        apply(connection, Roles(roles.recorder, role, roles.reporting))
    with engine.connect() as connection:
        assert _privileges(connection, roles.recorder) == {}


def test_one_role_for_two_purposes_is_refused(database_url: str) -> None:
    with pytest.raises(GrantsError, match="a role each"):
        Roles("one", "one", "two")
