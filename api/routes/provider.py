"""The provider's own routes, served from the recording, so that existing clients can use this server."""

from __future__ import annotations

from flask import Blueprint, Response
from werkzeug.http import http_date

from api.context import snapshot
from api.endpoint import Operation, document
from api.errors import MIRROR_PREFIXES, problem
from api.middleware.etag import not_modified_or
from api.schemas.provider import ProviderError, ProviderGroup
from recorder.queries.groups import require_group
from recorder.queries.query import NoQuery
from recorder.store.history import find_body

TAG = "provider"
blueprint = Blueprint(TAG, __name__)


def register_routes() -> None:
    for prefix in MIRROR_PREFIXES:
        version = prefix.strip("/")

        def view(taskgroup_id: str) -> Response:
            return provider_group(taskgroup_id)

        document(
            view,
            Operation(
                "getProviderGroupBeta" if version.endswith("beta") else "getProviderGroup",
                TAG,
                str(provider_group.__doc__),
                NoQuery,
                ProviderGroup,
                {404: ProviderError, 410: ProviderError, 500: ProviderError, 503: ProviderError},
                refused=ProviderError,
            ),
        )
        blueprint.add_url_rule(f"{prefix}tasks/groups/<taskgroup_id>", version, view)


def provider_group(taskgroup_id: str) -> Response:
    """A group as the provider last reported it, in the provider's own shape."""
    with snapshot() as read:
        found = require_group(read.connection, taskgroup_id)
        latest = found.latest
        if latest is None:
            return problem("never-seen", f"{taskgroup_id!r} is watched but has not been seen yet")
        body = find_body(read.connection, taskgroup_id, latest.seq)
    raw = (body.text or "").encode() if body.form is None else body.form
    response = not_modified_or(
        repr((latest.seq, latest.digest)), lambda: Response(raw, mimetype="application/json")
    )
    age = (read.time.now - latest.last_seen_at).total_seconds()
    response.headers["Age"] = str(max(0, int(age)))
    response.headers["Last-Modified"] = http_date(latest.at)
    return response


register_routes()
