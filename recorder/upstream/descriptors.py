"""File descriptors: every running request needs one, and the system limits how many a process may have."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator

RESERVED = 24
"""How many the recorder needs besides its requests: for the database, the log, name lookups and the like."""

_EXHAUSTED = {errno.EMFILE, errno.ENFILE}


class NoDescriptorError(Exception):
    """A request was not made because no file descriptor was left: no fault of the upstream."""


def fit_to_limit(requests: int) -> int:
    """Raise the limit of this process as far as `requests` at once need it and the system allows it.

    Return how many can be made at once, at most `requests`; 0 or less if there is no room for any.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = requests + RESERVED
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return requests if soft == resource.RLIM_INFINITY else min(requests, soft - RESERVED)


def is_exhaustion(error: BaseException) -> bool:
    """Whether `error` was raised because no file descriptor was left."""
    # A name lookup that could not open its files only says that the name was not found.
    return any(getattr(link, "errno", None) in _EXHAUSTED for link in _links(error)) or _none_left()


def _links(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _none_left() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in _EXHAUSTED
    return False
