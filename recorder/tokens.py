"""Tokens for the API; only their digests are kept."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

_NAMES = "1 to 64 letters, digits, dots, hyphens and underscores, a letter or digit first"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PREFIX = "tgr_"
_BYTES = 32


class Scope(StrEnum):
    """What a token is good for, from the least to the most: `/readyz` and `/metrics` alone, reading all, or
    enrolling groups as well."""

    PROBE = "probe"
    READ = "read"
    ENROL = "enrol"


_BY_POWER = list(Scope)


@dataclass(frozen=True, slots=True)
class Token:
    """The holder's `name`, and the SHA-256 `digest` of the secret they send, in lower-case hex."""

    name: str
    digest: str
    scope: Scope = Scope.READ

    def __str__(self) -> str:
        suffix = "" if self.scope is Scope.READ else f":{self.scope}"
        return f"{self.name}:{self.digest}{suffix}"

    def outranks(self, other: Token) -> bool:
        """Whether this token is good for more than another."""
        return _BY_POWER.index(self.scope) > _BY_POWER.index(other.scope)


def new_token(name: str, scope: Scope = Scope.READ) -> tuple[str, Token]:
    """Return a new secret and its token.

    Raises:
        ValueError: the name is invalid.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"allowed: {_NAMES}")
    secret = _PREFIX + secrets.token_urlsafe(_BYTES)
    return secret, Token(name, _digest(secret), scope)


def read_tokens(text: str) -> tuple[Token, ...]:
    """Parse a comma-separated list of `name:sha256hex`, each perhaps with `:enrol` or `:probe`.

    Raises:
        ValueError: the text is not such a list, or a name occurs twice.
    """
    tokens = tuple(_read(part.strip()) for part in text.split(","))
    if len({token.name for token in tokens}) < len(tokens):
        raise ValueError("duplicate name")
    return tokens


def held(tokens: Iterable[Token], sent: Iterable[str]) -> Token | None:
    """Return the token that matches one of the `sent` secrets, None if none does; of several, the one that is
    good for most.

    The empty text never matches. The time taken does not depend on which token matches, if any.
    """
    found: Token | None = None
    for digest in [_digest(text) for text in sent if text]:
        for token in tokens:
            if hmac.compare_digest(token.digest, digest) and (found is None or token.outranks(found)):
                found = token
    return found


def _read(text: str) -> Token:
    name, _, rest = text.partition(":")
    digest, colon, scope = rest.partition(":")
    scopes = {Scope.ENROL.value, Scope.PROBE.value}
    if not _NAME.fullmatch(name) or not _DIGEST.fullmatch(digest.lower()) or (colon and scope not in scopes):
        raise ValueError("not name:sha256hex, name:sha256hex:enrol or name:sha256hex:probe")
    return Token(name, digest.lower(), Scope(scope) if colon else Scope.READ)


def _digest(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
