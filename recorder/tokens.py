"""Tokens for reading the API; only their digests are kept."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

_NAMES = "1 to 64 letters, digits, dots, hyphens and underscores, a letter or digit first"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PREFIX = "tgr_"
_BYTES = 32


@dataclass(frozen=True, slots=True)
class Token:
    """The holder's `name`, and the SHA-256 `digest` of the secret they send, in lower-case hex."""

    name: str
    digest: str

    def __str__(self) -> str:
        return f"{self.name}:{self.digest}"


def new_token(name: str) -> tuple[str, Token]:
    """Return a new secret and its token.

    Raises:
        ValueError: the name is invalid.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"allowed: {_NAMES}")
    secret = _PREFIX + secrets.token_urlsafe(_BYTES)
    return secret, Token(name, _digest(secret))


def read_tokens(text: str) -> tuple[Token, ...]:
    """Parse a comma-separated list of `name:sha256hex`.

    Raises:
        ValueError: the text is not such a list, or a name occurs twice.
    """
    tokens = tuple(_read(part.strip()) for part in text.split(","))
    if len({token.name for token in tokens}) < len(tokens):
        raise ValueError("duplicate name")
    return tokens


def holder(tokens: Iterable[Token], sent: Iterable[str]) -> str | None:
    """Return the name of the token that matches one of the `sent` secrets, None if none does.

    The empty text never matches. The time taken does not depend on which token matches, if any.
    """
    found = None
    for digest in [_digest(text) for text in sent if text]:
        for token in tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token.name
    return found


def _read(text: str) -> Token:
    name, _, digest = text.partition(":")
    if not _NAME.fullmatch(name) or not _DIGEST.fullmatch(digest.lower()):
        raise ValueError("not name:sha256hex")
    return Token(name, digest.lower())


def _digest(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
