"""Files of ours, and of Swagger UI, as responses that are compressed and kept like any other."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from mimetypes import guess_type
from pathlib import Path

from flask import Response, request
from werkzeug.exceptions import NotFound

_KEPT = "private, max-age=31536000, immutable"


def file_response(folder: Path, name: str) -> Response:
    """Return a file of `folder`, which has no other folders.

    A browser keeps it for good if it was asked for with its version, as `versioned` does.

    Raises:
        NotFound: there is no such file.
    """
    path = folder / name
    if path.parent != folder or not path.is_file():
        raise NotFound
    response = Response(path.read_bytes(), mimetype=guess_type(name)[0])
    version = version_of(path)
    response.set_etag(version, weak=True)
    if request.args.get("v") == version:
        response.headers["Cache-Control"] = _KEPT
    response.make_conditional(request)
    return response


@cache
def version_of(path: Path) -> str:
    """Return a text that differs whenever the content of a file does."""
    return sha256(path.read_bytes()).hexdigest()[:12]
