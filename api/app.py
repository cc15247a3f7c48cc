"""The Flask application."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from flask import Flask, Response
from sqlalchemy import Engine

from api.context import Context, data_age, set_context
from api.enrolling import EnrolmentDatabase
from api.errors import register_problems
from api.middleware.auth import register_access
from api.middleware.cors_gzip import answer_options, register_transport
from api.middleware.etag import add_etag
from api.pages.register import register_pages
from api.routes import audit, completion, events, gaps, groups, health, history, runs
from api.routes import provider as mirror
from api.routes.docs import register_docs
from api.routes.enrolment import register_enrolment
from api.routes.exports import register_exports
from api.routes.metrics import register_metrics
from recorder.clock import Clock
from recorder.queries.ledger_heads import CheckpointFolder
from recorder.tokens import Token

DEFAULT_RATE = 20.0


def create_app(
    engine: Engine,
    *,
    now: Clock | None = None,
    rate: float = DEFAULT_RATE,
    tokens: Sequence[Token] = (),
    cohort_key: str | None = None,
    cors_origins: Collection[str] = (),
    enrolment: EnrolmentDatabase | None = None,
    checkpoints: CheckpointFolder | None = None,
) -> Flask:
    """Create the API on `engine`, which should be read-only: `enrolment` alone is written to, and only with
    a token of scope `enrol`; None turns enrolment off.

    `now` replaces the database's clock. `rate` is the limit that the recorders share, in requests per second;
    it is reported, not enforced. If there are `tokens`, requests need one of them. Estimates compare groups
    with the same value of `cohort_key` in their metadata, or all groups without it. Pages of `cors_origins`
    may read responses. A page shows the newest of `checkpoints`.
    """
    app = Flask("api", static_folder=None)
    # Flask's own redirects and responses to OPTIONS have HTML bodies.
    app.url_map.merge_slashes = False
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    set_context(app, Context(engine, now, rate, cohort_key, checkpoints))
    register_metrics(app)
    register_transport(app, cors_origins)
    register_access(app, tokens)
    app.before_request(answer_options)
    for resource in (groups, history, gaps, completion, runs, events, audit, health, mirror):
        app.register_blueprint(resource.blueprint)
    register_enrolment(app, enrolment)
    register_exports(app)
    register_docs(app, with_tokens=bool(tokens))
    register_problems(app)
    app.after_request(_add_headers)
    app.after_request(add_etag)
    register_pages(app)
    return app


def _add_headers(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Cache-Control", "no-cache")
    age = data_age()
    if age is not None:
        response.headers.setdefault("Age", str(int(age)))
    return response
