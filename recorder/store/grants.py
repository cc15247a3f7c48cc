"""The privileges of each role on PostgreSQL: the recorder writes, the API reads, reports read the views."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from sqlalchemy import Connection, text

from recorder.store.schema import require_head, schema_of, state_in
from recorder.store.views import VIEWS

DERIVED = ("episodes", "milestones", "group_labels", "labelled_durations", "summaries")
EVENTS = ("events", "published_events", "upstream_state")
GRANTED_TABLES = ("entries", "watches", *DERIVED, *EVENTS, "recorders", "alembic_version")


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


def grant_statements(roles: Roles, schema: str) -> list[str]:
    """Return the statements for the tables in `schema`, which their owner must run in one transaction.

    They leave each role with the privileges that it needs and no others. No role may change or delete an
    entry: only the owner of the tables or a superuser could.
    """
    recorder, api, reporting = map(_quoted, astuple(roles))
    everybody = f"{recorder}, {api}, {reporting}"
    place = _quoted(schema)
    return [
        f"SET LOCAL search_path TO {place}",
        f"REVOKE CREATE ON SCHEMA {place} FROM PUBLIC",
        f"REVOKE ALL ON {', '.join(GRANTED_TABLES + VIEWS)} FROM PUBLIC, {everybody}",
        f"GRANT USAGE ON SCHEMA {place} TO {everybody}",
        f"GRANT SELECT ON alembic_version TO {recorder}, {api}",
        f"GRANT SELECT, INSERT ON entries TO {recorder}",
        f"GRANT SELECT, INSERT, UPDATE ON watches, {', '.join(EVENTS)} TO {recorder}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(DERIVED)}, recorders TO {recorder}",
        f"GRANT SELECT ON entries, watches, {', '.join((*DERIVED, *EVENTS))}, recorders TO {api}",
        f"GRANT SELECT ON {', '.join(VIEWS)} TO {api}, {reporting}",
    ]


def apply(connection: Connection, roles: Roles) -> None:
    """Run the statements.

    Raises:
        GrantsError: a role does not exist, or cannot be restricted by grants.
        SchemaError: the schema is not at this program's revision.
        DatabaseUnavailableError: the connected role may not grant the privileges.
    """
    require_head(state_in(connection))
    for role in astuple(roles):
        _require_restrictable(connection, role)
    for statement in grant_statements(roles, schema_of(connection)):
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
