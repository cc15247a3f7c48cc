"""What each role may do on PostgreSQL: the recorder writes, the API reads, reports read the views."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from sqlalchemy import Connection, text

from recorder.store.schema import require_head, state_in

DERIVED = ("episodes", "group_labels", "labelled_durations", "summaries")
GRANTED_TABLES = ("entries", "watches", *DERIVED, "recorders", "alembic_version")
VIEWS = ("status_history", "latest_status", "group_completion", "observation_gaps")


class GrantsError(Exception):
    """The roles cannot be given what they need; the text says why."""


@dataclass(frozen=True)
class Roles:
    """The names of the roles, which exist already.

    Raises:
        GrantsError: one is named twice; it would have the rights of both.
    """

    recorder: str = "recorder"
    api: str = "recorder_api"
    reporting: str = "recorder_reporting"

    def __post_init__(self) -> None:
        if len(set(astuple(self))) < 3:
            raise GrantsError("the recorder, the API and the reports must have a role each")


def grant_statements(roles: Roles) -> list[str]:
    """Return the statements, to be carried out by the owner of the tables in one transaction.

    Afterwards each role has what it needs and nothing else. Nobody may change or delete an entry: that
    takes the owner, or an administrator.
    """
    recorder, api, reporting = map(_quoted, astuple(roles))
    everybody = f"{recorder}, {api}, {reporting}"
    return [
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        f"REVOKE ALL ON {', '.join(GRANTED_TABLES + VIEWS)} FROM PUBLIC, {everybody}",
        f"GRANT USAGE ON SCHEMA public TO {everybody}",
        f"GRANT SELECT ON alembic_version TO {recorder}, {api}",
        f"GRANT SELECT, INSERT ON entries TO {recorder}",
        f"GRANT SELECT, INSERT, UPDATE ON watches TO {recorder}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(DERIVED)}, recorders TO {recorder}",
        f"GRANT SELECT ON entries, watches, {', '.join(DERIVED)}, recorders TO {api}",
        f"GRANT SELECT ON {', '.join(VIEWS)} TO {api}, {reporting}",
    ]


def apply(connection: Connection, roles: Roles) -> None:
    """Carry the statements out, all or none.

    Raises:
        GrantsError: a role is not there, or is one that no grant can bind.
        SchemaError: the schema is not this program's.
        DatabaseUnavailableError: whoever is connected may not grant.
    """
    require_head(state_in(connection))
    for role in astuple(roles):
        _require_bound(connection, role)
    for statement in grant_statements(roles):
        # A percent sign in a name is no place for a parameter.
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def _require_bound(connection: Connection, role: str) -> None:
    question = """
        SELECT rolsuper OR pg_has_role(r.oid, c.relowner, 'MEMBER')
        FROM pg_roles r, pg_class c WHERE rolname = :role AND c.oid = 'entries'::regclass"""
    unbound = connection.scalar(text(question), {"role": role})
    if unbound is None:
        raise GrantsError(f"there is no role {role!r}; an administrator makes it with CREATE ROLE")
    if unbound:
        raise GrantsError(f"the role {role!r} owns the tables or is an administrator: no grant binds it")


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))
