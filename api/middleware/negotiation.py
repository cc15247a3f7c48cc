"""Content negotiation: which types the header Accept allows, and which it prefers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flask import request
from werkzeug.exceptions import NotAcceptable
from werkzeug.http import parse_list_header, parse_options_header

from recorder.queries.formats import JSON


def require_json() -> None:
    """Refuse a request that does not accept JSON.

    Raises:
        NotAcceptable: the header Accept excludes it.
    """
    require_one_of([JSON])


def require_one_of(mimetypes: Sequence[str]) -> str:
    """Return which of `mimetypes` to answer the current request with.

    Raises:
        NotAcceptable: the header Accept excludes all of them.
    """
    found = preferred(request.headers.get("Accept", ""), mimetypes)
    if found is None:
        *others, last = mimetypes
        types = " or ".join([", ".join(others), last] if others else [last])
        raise NotAcceptable(f"{request.path} is {types}, which the header Accept excludes")
    return found


def accepts(header: str, mimetype: str) -> bool:
    """Return whether an Accept header allows `mimetype`."""
    return preferred(header, [mimetype]) is not None


def preferred(header: str, mimetypes: Sequence[str]) -> str | None:
    """Return which of `mimetypes` an Accept header gives the highest weight, None if it excludes all.

    The most specific range that covers a type decides its weight. Among equal weights, the type covered by
    the more specific range wins, then the first one. Parameters other than `q` are ignored, because no
    response differs by them. A header without a valid range excludes nothing.
    """
    weights: dict[str, float] = {}
    for name, weight in _ranges(header):
        weights[name] = max(weight, weights.get(name, 0))
    if not weights:
        return mimetypes[0]

    def rank(mimetype: str) -> tuple[float, int]:
        covering = ("*/*", f"{mimetype.partition('/')[0]}/*", mimetype)
        named = [(specific, name) for specific, name in enumerate(covering) if name in weights]
        return (weights[named[-1][1]], named[-1][0]) if named else (0, 0)

    best = max(mimetypes, key=rank)
    return best if rank(best)[0] > 0 else None


def _ranges(header: str) -> Iterator[tuple[str, float]]:
    for part in parse_list_header(header):
        name, options = parse_options_header(part)
        # Some clients send a single asterisk for all types.
        name = "*/*" if name == "*" else name.lower()
        if "/" in name:
            yield name, _weight(options.get("q", "1"))


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1
