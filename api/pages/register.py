"""Add the dashboard to the app, and show errors as pages to people who use a browser."""

from __future__ import annotations

import json
from http import HTTPStatus

from flask import Flask, Response, request

from api.errors import MIRROR_PREFIXES, PROBLEM_JSON
from api.middleware.negotiation import preferred
from api.middleware.policy import restrict
from api.pages import audit, completion, events, gaps, group, overview
from api.pages.page import HTML, blueprint, rendered

PAGES = (overview, group, completion, gaps, events, audit)
"""The modules that add the pages to the blueprint."""
_PROGRAMS = ("/api/", "/openapi.json", "/healthz", "/readyz", "/metrics", *MIRROR_PREFIXES)
"""Paths with one of these prefixes are for programs, whose errors are never pages."""


def register_pages(app: Flask) -> None:
    """Serve the dashboard; to be called after everything else that handles responses is registered."""
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.register_blueprint(blueprint)
    app.after_request(_problem_as_page)


def _problem_as_page(response: Response) -> Response:
    if response.mimetype != PROBLEM_JSON or not _wants_page():
        return response
    problem = json.loads(response.get_data())
    page = rendered(
        "problem.html", problem=problem, unauthorized=response.status_code == HTTPStatus.UNAUTHORIZED
    )
    response.set_data(page.get_data())
    response.mimetype = HTML
    response.vary.add("Accept")
    return restrict(response)


def _wants_page() -> bool:
    """Whether a browser asked for a page; a program that accepts anything gets JSON."""
    if request.path.startswith(_PROGRAMS):
        return False
    return preferred(request.headers.get("Accept", ""), [PROBLEM_JSON, HTML]) == HTML
