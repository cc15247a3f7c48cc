"""What each role may do on PostgreSQL: the recorder writes, the API reads, reports read the views."""

from __future__ import annotations

from dataclasses import dataclass

VIEWS = ("status_history", "latest_status", "observation_gaps")


@dataclass(frozen=True)
class Roles:
    """The names of the roles, which exist already."""

    recorder: str = "recorder"
    api: str = "recorder_api"
    reporting: str = "recorder_reporting"


def grants(roles: Roles) -> list[str]:
    """Return the statements, to be carried out by the owner of the tables.

    Nobody may change or delete an entry: that takes the owner, or an administrator.
    """
    recorder, api, reporting = map(_quoted, (roles.recorder, roles.api, roles.reporting))
    return [
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA public TO {recorder}, {api}, {reporting}",
        f"GRANT SELECT ON alembic_version TO {recorder}, {api}",
        f"GRANT SELECT, INSERT ON entries TO {recorder}",
        f"GRANT SELECT, INSERT, UPDATE ON watches TO {recorder}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON recorders TO {recorder}",
        f"GRANT SELECT ON entries, watches, recorders TO {api}",
        f"GRANT SELECT ON {', '.join(VIEWS)} TO {reporting}, {api}",
    ]


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))
