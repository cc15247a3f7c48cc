"""The provider's own route, answered from what was recorded: existing clients can be pointed here."""

from __future__ import annotations

from flask import Blueprint, Response
from werkzeug.http import http_date

from api.answers import find_group
from api.conditional import fresh_or
from api.context import context
from api.problems import MIRROR_PREFIXES, problem
from api.wire import dumps
from recorder.store.readers import find_body
from recorder.store.transactions import reading

blueprint = Blueprint("mirror", __name__)


def register_routes() -> None:
    for prefix in MIRROR_PREFIXES:
        blueprint.add_url_rule(f"{prefix}tasks/groups/<taskgroup_id>", view_func=group)


def group(taskgroup_id: str) -> Response:
    """A group's newest status, as it was said."""
    here = context()
    with reading(here.engine) as connection:
        found = find_group(connection, taskgroup_id)
        latest = found.latest
        if latest is None:
            return problem("never-seen", f"{taskgroup_id!r} is watched, and has not been seen yet")
        body = find_body(connection, taskgroup_id, latest.seq)
    raw = dumps(body.value) if body.text is None else body.text.encode()
    response = fresh_or(repr((latest.seq, latest.digest)), lambda: Response(raw, mimetype="application/json"))
    age = (here.now() - latest.last_seen_at).total_seconds()
    response.headers["Age"] = str(max(0, int(age)))
    response.headers["Last-Modified"] = http_date(latest.at)
    return response


register_routes()
