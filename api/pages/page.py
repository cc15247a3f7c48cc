"""What all pages share: their blueprint, their layout, and conditional responses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, render_template, request

from api.middleware.etag import etag_of, not_modified_or
from api.middleware.files import file_response, version_of
from api.middleware.negotiation import require_one_of
from api.middleware.policy import restrict
from api.pages import text
from api.pages.charts.scale import span_words

HTML = "text/html"
REFRESH_SECONDS = 5
"""How often an open page asks whether anything is new."""
_FOLDER = Path(__file__).parent
_STATIC = _FOLDER / "static"

blueprint = Blueprint("pages", __name__, template_folder="templates")
blueprint.after_request(restrict)
FILTERS: Mapping[str, Callable[..., Any]] = {
    "visible": text.visible,
    "plain_visible": text.plain_visible,
    "scalar_words": text.scalar_words,
    "number": text.number_words,
    "moment": text.moment_words,
    "age": text.age_words,
    "short_moment": text.short_moment,
    "millis": text.unix_millis,
    "path_part": text.path_part,
    "words": text.state_words,
    "span": lambda seconds: text.UNKNOWN if seconds is None else span_words(seconds),
}
for _name, _filter in FILTERS.items():
    blueprint.add_app_template_filter(_filter, _name)


@blueprint.get("/static/<name>")
def static_file(name: str) -> Response:
    """A style sheet or a script of the pages."""
    return file_response(_STATIC, name)


def live_page(mark: str, template: str, build: Callable[[], Mapping[str, Any]]) -> Response:
    """Return a page that asks for itself again; `mark` identifies all that it shows, as in `not_modified_or`.

    `build` returns the values for the template, and is not called if the client has the page already.
    """
    require_one_of([HTML])
    mark = f"{_assets_version()} {mark}"
    tag = etag_of(mark)
    return not_modified_or(mark, lambda: rendered(template, etag=f'W/"{tag}"', **build()))


def rendered(template: str, **values: Any) -> Response:
    """Return a page as a response; every page knows the relative address of the root, `root`."""
    body = render_template(
        template, root=root(), asset=_asset, refresh_seconds=REFRESH_SECONDS, path=request.path, **values
    )
    return Response(body, mimetype=HTML)


def root() -> str:
    """Return the dashboard's address relative to the current page, so that links hold below any prefix."""
    return "../" * (request.path.count("/") - 1) or "./"


def address_with(**changes: object) -> str:
    """Return the current page's relative address with some parameters changed; None removes one."""
    given = [(name, value) for name, value in request.args.items(multi=True) if name not in changes and value]
    given += [(name, str(value)) for name, value in changes.items() if value is not None]
    return f"?{urlencode(given)}"


def hidden_fields(*shown: str) -> list[tuple[str, str]]:
    """Return the current parameters that a form has no field for, without those that start a page."""
    paging = {"cursor", "before", "after", "page"}
    return [
        (name, value)
        for name, value in request.args.items(multi=True)
        if value and name not in paging and name not in shown
    ]


def _asset(name: str) -> str:
    return f"{root()}static/{name}?v={version_of(_STATIC / name)}"


@cache
def _assets_version() -> str:
    return "-".join(version_of(path) for path in sorted(_STATIC.iterdir()))
