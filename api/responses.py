"""JSON responses."""

from __future__ import annotations

from typing import Any

from flask import Response

from recorder.queries.json_output import dumps


def json_response(body: Any, *, status: int = 200, mimetype: str = "application/json") -> Response:
    """Return `body` as a JSON response."""
    return Response(dumps(body), status, mimetype=mimetype)


def page_response(page: dict[str, Any]) -> Response:
    """Return a page as a response, with a `Link` header to the next one."""
    response = json_response(page)
    if page["next"] is not None:
        response.headers["Link"] = f'<{page["next"]}>; rel="next"'
    return response
