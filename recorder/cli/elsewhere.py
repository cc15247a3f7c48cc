"""Other recorders of this user that are running, with the same database or another one."""

from __future__ import annotations

from recorder.database_url import database_key, database_url_text
from recorder.status_file import other_databases, running_recorders


def neighbour_text() -> str | None:
    """Return what to say about recorders of this user when a port is in use; None without any."""
    running = running_recorders(database_key(database_url_text()))
    if running:
        pid = running[0].process.pid
        return f"a recorder of yours is running with this database already, as process {pid}"
    return elsewhere_text()


def elsewhere_text() -> str | None:
    """Return a line about the other databases into which recorders of this user record; None without any.

    A recorder is known by a file in the folder for temporary files, so one that has another such folder, as
    a system service may, is not noticed.
    """
    others = other_databases(database_key(database_url_text()))
    if not others:
        return None
    subject = "a recorder of yours is" if len(others) == 1 else "recorders of yours are"
    return f"{subject} running with another database: {', '.join(others)}"
