"""The privileges of each role on PostgreSQL: the recorder writes, the API reads, reports read the views."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass

from sqlalchemy import Connection, text

from recorder.store.schema import require_head, schema_of, state_in
from recorder.store.views import VIEWS

DERIVED = ("episodes", "milestones", "group_labels", "labelled_durations", "summaries")
EVENTS = ("events", "published_events", "upstream_state", "sinks", "delivery_lease")
ARCHIVE = ("tombstones", "archive_turns")
RUNS = ("run_snapshots", "run_claims")
GRANTED_TABLES = (
    *("entries", "watches", *ARCHIVE, *DERIVED, *EVENTS, *RUNS),
    *("deliveries", "recorders", "request_keys", "alembic_version"),
)


class GrantsError(Exception):
    """The privileges cannot be granted; the text says why."""


@dataclass(frozen=True)
class Roles:
    """The names of the roles, which must exist.

    Raises:
        GrantsError: two have the same name, so that one role would have the privileges of both.
    """

    recorder: str = "recorder"
    api: str = "recorder_api"
    reporting: str = "recorder_reporting"

    def __post_init__(self) -> None:
        if len(set(astuple(self))) < 3:
            raise GrantsError("the recorder, the API and the reports need a role each")


@dataclass(frozen=True, slots=True)
class _Privileges:
    """Kinds of access to tables or views for roles."""

    kinds: tuple[str, ...]
    names: tuple[str, ...]
    roles: tuple[str, ...]


def grant_statements(roles: Roles, schema: str, *, archiving: bool = False) -> list[str]:
    """Return the statements for the tables in `schema`, which their owner must run in one transaction.

    They leave each role with the privileges that it needs and no others. No role may change an entry, and
    only with `archiving` may the recorder's let entries go, where their tombstone stands.
    """
    everybody = ", ".join(map(_quoted, astuple(roles)))
    place = _quoted(schema)
    return [
        f"SET LOCAL search_path TO {place}",
        f"REVOKE CREATE ON SCHEMA {place} FROM PUBLIC",
        f"REVOKE ALL ON {', '.join(GRANTED_TABLES + VIEWS)} FROM PUBLIC, {everybody}",
        f"GRANT USAGE ON SCHEMA {place} TO {everybody}",
        *(
            f"GRANT {', '.join(one.kinds)} ON {', '.join(one.names)} TO {', '.join(map(_quoted, one.roles))}"
            for one in _privileges(roles, archiving=archiving)
        ),
    ]


def lacking_privileges(connection: Connection, roles: Roles) -> list[str]:
    """Return the privileges that the roles lack, a line each; none if not all of the roles exist.

    What a role needs only to archive is left out.
    """
    query = text("SELECT rolname FROM pg_roles WHERE rolname IN (:recorder, :api, :reporting)")
    if len(connection.scalars(query, asdict(roles)).all()) < 3:
        return []
    place = _quoted(schema_of(connection))
    asked = text("SELECT has_table_privilege(:role, :name, :kind)")
    return [
        f"grants: the role {role} lacks {kind} on {name}"
        for one in _privileges(roles, archiving=False)
        for role in one.roles
        for name in one.names
        for kind in one.kinds
        if not connection.scalar(asked, {"role": role, "name": f"{place}.{name}", "kind": kind})
    ]


def grants_are_used(connection: Connection) -> bool:
    """Whether privileges on any of the tables were ever granted or revoked."""
    query = """
        SELECT count(*) FROM pg_class
        WHERE relnamespace = CAST(:place AS regnamespace) AND relname = ANY(:names) AND relacl IS NOT NULL"""
    names = list(GRANTED_TABLES + VIEWS)
    return bool(connection.scalar(text(query), {"place": _quoted(schema_of(connection)), "names": names}))


def may_archive(connection: Connection, roles: Roles) -> bool:
    """Whether the role of the recorders may let entries go."""
    asked = text("SELECT has_table_privilege(:role, :name, 'DELETE')")
    place = _quoted(schema_of(connection))
    return bool(connection.scalar(asked, {"role": roles.recorder, "name": f"{place}.entries"}))


def _privileges(roles: Roles, *, archiving: bool) -> Iterator[_Privileges]:
    recorder, api = (roles.recorder,), (roles.api,)
    yield _Privileges(("SELECT",), ("alembic_version",), recorder + api)
    yield _Privileges(("SELECT", "INSERT"), ("entries", "request_keys"), recorder)
    yield _Privileges(("SELECT", "INSERT"), RUNS, recorder)
    yield _Privileges(("SELECT", "INSERT", "UPDATE"), ("watches", *EVENTS), recorder)
    yield _Privileges(("SELECT",), ("tombstones",), recorder)
    yield _Privileges(("SELECT", "UPDATE"), ("archive_turns",), recorder)
    if archiving:
        yield _Privileges(("DELETE",), ("entries", "watches"), recorder)
        yield _Privileges(("INSERT", "DELETE"), ("tombstones",), recorder)
    yield _Privileges(
        ("SELECT", "INSERT", "UPDATE", "DELETE"), (*DERIVED, "deliveries", "recorders"), recorder
    )
    read = tuple(name for name in GRANTED_TABLES if name not in {"request_keys", "alembic_version"})
    yield _Privileges(("SELECT",), read, api)
    # An API that enrols has the recorder's role, which reads all that the views show anyway.
    yield _Privileges(("SELECT",), VIEWS, (*recorder, *api, roles.reporting))


def apply(connection: Connection, roles: Roles, *, archiving: bool = False) -> None:
    """Run the statements.

    Raises:
        GrantsError: a role does not exist, or cannot be restricted by grants.
        SchemaError: the schema is not at this program's revision.
        DatabaseUnavailableError: the connected role may not grant the privileges.
    """
    require_head(state_in(connection))
    for role in astuple(roles):
        _require_restrictable(connection, role)
    for statement in grant_statements(roles, schema_of(connection), archiving=archiving):
        # A percent sign in a name must not be read as a placeholder.
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def _require_restrictable(connection: Connection, role: str) -> None:
    query = """
        SELECT rolsuper OR pg_has_role(r.oid, c.relowner, 'MEMBER')
        FROM pg_roles r, pg_class c WHERE rolname = :role AND c.oid = 'entries'::regclass"""
    unrestricted = connection.scalar(text(query), {"role": role})
    if unrestricted is None:
        raise GrantsError(f"there is no role {role!r}; a superuser can create it with CREATE ROLE")
    if unrestricted:
        raise GrantsError(f"the role {role!r} owns the tables or is a superuser: grants cannot restrict it")


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))
