"""What the header Accept of a request lets through."""

from __future__ import annotations

from collections.abc import Iterator

from flask import request
from werkzeug.exceptions import NotAcceptable
from werkzeug.http import parse_list_header, parse_options_header

JSON = "application/json"


def require_json() -> None:
    """Refuse a request to which no JSON may be answered.

    Raises:
        NotAcceptable: the header Accept rules it out.
    """
    if not accepts(request.headers.get("Accept", ""), JSON):
        raise NotAcceptable(f"{request.path} is {JSON}, which the header Accept rules out")


def accepts(header: str, mimetype: str) -> bool:
    """Return whether an Accept header lets `mimetype` through.

    The most specific range that covers it decides; parameters other than `q` count for nothing, as no
    answer of ours differs by them. A header without any range that can be read rules nothing out.
    """
    weights: dict[str, float] = {}
    for name, weight in _ranges(header):
        weights[name] = max(weight, weights.get(name, 0))
    covering = (mimetype, f"{mimetype.partition('/')[0]}/*", "*/*")
    return next((weights[name] > 0 for name in covering if name in weights), not weights)


def _ranges(header: str) -> Iterator[tuple[str, float]]:
    for part in parse_list_header(header):
        name, options = parse_options_header(part)
        # Some clients write a lone asterisk for all types.
        name = "*/*" if name == "*" else name.lower()
        if "/" in name:
            yield name, _weight(options.get("q", "1"))


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1
