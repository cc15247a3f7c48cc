"""The provider's own route, answered from what was recorded: existing clients can be pointed here."""

from __future__ import annotations

from flask import Blueprint, Response
from werkzeug.http import http_date

from api.context import context
from api.errors import MIRROR_PREFIXES, problem
from api.middleware.etag import not_modified_or
from recorder.queries.groups import require_group
from recorder.queries.json_output import dumps
from recorder.store.history import find_body
from recorder.store.transactions import reading

blueprint = Blueprint("mirror", __name__)


def register_routes() -> None:
    for prefix in MIRROR_PREFIXES:
        blueprint.add_url_rule(f"{prefix}tasks/groups/<taskgroup_id>", view_func=provider_group)


def provider_group(taskgroup_id: str) -> Response:
    """A group's newest status, as it was said."""
    here = context()
    with reading(here.engine) as connection:
        found = require_group(connection, taskgroup_id)
        latest = found.latest
        if latest is None:
            return problem("never-seen", f"{taskgroup_id!r} is watched, and has not been seen yet")
        body = find_body(connection, taskgroup_id, latest.seq)
    raw = dumps(body.value) if body.text is None else body.text.encode()
    response = not_modified_or(
        repr((latest.seq, latest.digest)), lambda: Response(raw, mimetype="application/json")
    )
    age = (here.now() - latest.last_seen_at).total_seconds()
    response.headers["Age"] = str(max(0, int(age)))
    response.headers["Last-Modified"] = http_date(latest.at)
    return response


register_routes()
