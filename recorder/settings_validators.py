"""Validators of single settings: each returns the value to use, or raises ValueError."""

from __future__ import annotations

import getpass
import re
import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import SecretStr

from recorder.store.engine import check_url
from recorder.tokens import read_tokens

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:.]+\](:\d{1,5})?", re.IGNORECASE)


def checked_base_url(text: str) -> str:
    parts = urlsplit(text)
    # An invalid port raises ValueError when it is read.
    extras = parts.username or parts.password or parts.query or parts.fragment or parts.port == 0
    if (
        parts.scheme not in {"http", "https"}
        or extras
        or not parts.hostname
        or not text.isprintable()
        or " " in text
    ):
        raise ValueError("not an http:// or https:// address")
    return text.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is one of this machine alone."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def checked_prefix(text: str) -> str:
    if not text.startswith("/") or not text.isprintable() or set(text) & set(" ?#%"):
        raise ValueError("not a path")
    return text.rstrip("/")


def checked_database_url(text: str) -> str:
    check_url(text)
    return text


def checked_api_key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if not text or not text.isascii() or not text.isprintable() or set(text) & set(" \"'"):
        raise ValueError("not a key")
    return key


def checked_origins(text: str) -> str:
    if not all(_ORIGIN.fullmatch(origin.strip()) for origin in text.split(",")):
        raise ValueError("not origins")
    return text


def checked_tokens(text: str) -> str:
    read_tokens(text)
    return text


def user_at_host() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
