"""What the header Accept of a request lets through, and what it likes best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flask import request
from werkzeug.exceptions import NotAcceptable
from werkzeug.http import parse_list_header, parse_options_header

from recorder.queries.formats import JSON


def require_json() -> None:
    """Refuse a request to which no JSON may be answered.

    Raises:
        NotAcceptable: the header Accept rules it out.
    """
    require_one_of([JSON])


def require_one_of(mimetypes: Sequence[str]) -> str:
    """Return the one of `mimetypes` to answer the present request with.

    Raises:
        NotAcceptable: the header Accept rules out all of them.
    """
    found = preferred(request.headers.get("Accept", ""), mimetypes)
    if found is None:
        *others, last = mimetypes
        words = " or ".join([", ".join(others), last] if others else [last])
        raise NotAcceptable(f"{request.path} is {words}, which the header Accept rules out")
    return found


def accepts(header: str, mimetype: str) -> bool:
    """Return whether an Accept header lets `mimetype` through."""
    return preferred(header, [mimetype]) is not None


def preferred(header: str, mimetypes: Sequence[str]) -> str | None:
    """Return which of `mimetypes` an Accept header gives the greatest weight, None if it rules out all.

    The most specific range that covers a type decides its weight; of equal weights the one that is named
    more specifically wins, then the first. Parameters other than `q` count for nothing, as no answer of
    ours differs by them. A header without any range that can be read rules nothing out.
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
        # Some clients write a lone asterisk for all types.
        name = "*/*" if name == "*" else name.lower()
        if "/" in name:
            yield name, _weight(options.get("q", "1"))


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1
