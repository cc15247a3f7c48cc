"""What the URL of a PostgreSQL database says: its servers, and the settings of our sessions.

Besides libpq's parameters, it takes `search_path`, psycopg's `prepare_threshold`, and `pooler`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL
from sqlalchemy.exc import ArgumentError

from recorder.store.dialects.base import DatabaseUrlError

POOLERS = ("none", "transaction")
"""No pooler, or one that keeps sessions; and one that gives a server to each transaction."""
OWN_PARAMETERS = ("pooler", "prepare_threshold", "search_path")
_SEVERAL_HOSTS = re.compile(r"([\w+]+://(?:[^/?@]*@)?)([^/?@]*,[^/?@]*)(/[^?]*)?(?:\?(.*))?", re.DOTALL)
_HOST = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]]*))(?::(\d*))?")
_WORD = re.compile(r"(?:\\.|[^\s\\])+", re.DOTALL)
_SETTING = re.compile(r"(?:-c|--)([\w.-]+)=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class OwnParameters:
    """The parameters of a URL that libpq does not know.

    `pooler` is one of POOLERS, None to find out. `prepare_threshold` is how often a statement is executed
    before it is prepared, None for never.
    """

    pooler: str | None
    prepare_threshold: int | None
    search_path: str | None


def split_hosts(text: str) -> str:
    """Rewrite libpq's form of several hosts, `//USER@HOST:PORT,HOST:PORT/NAME`, to one that SQLAlchemy reads.

    Raises:
        DatabaseUrlError: a host is malformed.
    """
    several = _SEVERAL_HOSTS.fullmatch(text)
    if several is None:
        return text
    start, listed, path, query = several.groups()
    found = [_HOST.fullmatch(host) for host in listed.split(",")]
    hosts = [match[1] or match[2] for match in found if match is not None]
    if len(hosts) < len(found):
        raise DatabaseUrlError("its hosts are not of the form HOST:PORT,HOST:PORT")
    parameters = [f"host={','.join(hosts)}", *([query] if query else [])]
    ports = [match[3] or "" for match in found if match is not None]
    if any(ports):
        parameters.append(f"port={','.join(ports)}")
    return f"{start}{path or '/'}?{'&'.join(parameters)}"


def hosts_text(url: URL) -> str | None:
    """Return the servers that a URL names in its parameters, None if it has a host of its own."""
    hosts = url.query.get("host")
    if hosts is None:
        return None
    if not isinstance(hosts, str):
        return ",".join(hosts)
    ports = str(url.query.get("port", url.port or "")).split(",")
    listed = hosts.split(",")
    if len(ports) < len(listed):
        ports = ports * len(listed)
    return ",".join(f"{host}:{port}" if port else host for host, port in zip(listed, ports, strict=False))


def has_several_hosts(parameters: Mapping[str, Any]) -> bool:
    return "," in str(parameters.get("host") or os.environ.get("PGHOST", ""))


def check_parameters(url: URL) -> None:
    """Check the parameters of a URL.

    Raises:
        DatabaseUrlError: a parameter is unknown or has a value that the recorder cannot work with.
    """
    from psycopg import ProgrammingError  # noqa: PLC0415
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415
    from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg  # noqa: PLC0415

    dialect: Any = PGDialect_psycopg
    libpq = {name: str(value) for name, value in url.query.items() if name not in OWN_PARAMETERS}
    try:
        make_conninfo(**libpq)
        dialect().create_connect_args(url)
    except ProgrammingError:
        raise DatabaseUrlError("PostgreSQL does not know one of its parameters") from None
    except ArgumentError:
        raise DatabaseUrlError("its hosts and ports do not fit together") from None
    own_parameters(url.query)
    if libpq.get("client_encoding", "utf8").lower().replace("-", "") not in {"utf8", "unicode", "auto"}:
        raise DatabaseUrlError("client_encoding must be UTF8")


def own_parameters(query: Mapping[str, Any]) -> OwnParameters:
    """Return the parameters that libpq does not know.

    Raises:
        DatabaseUrlError: a value is not allowed.
    """
    pooler = query.get("pooler")
    if pooler is not None and pooler not in POOLERS:
        raise DatabaseUrlError(f"pooler must be {' or '.join(POOLERS)}")
    threshold = str(query.get("prepare_threshold", 5)).lower()
    if threshold != "none" and not (threshold.isascii() and threshold.isdigit()):
        raise DatabaseUrlError("prepare_threshold must be a whole number or none")
    search_path = query.get("search_path")
    return OwnParameters(
        pooler, None if threshold == "none" else int(threshold), search_path and str(search_path)
    )


def settings_in(options: str) -> tuple[dict[str, str], list[str]]:
    """Return the settings in libpq's `options`, such as `-c search_path=mine`, and what else is there."""
    words = [re.sub(r"\\(.)", r"\1", word, flags=re.DOTALL) for word in _WORD.findall(options)]
    settings: dict[str, str] = {}
    others = []
    while words:
        word = words.pop(0)
        if word == "-c" and words:
            word += words.pop(0)
        setting = _SETTING.fullmatch(word)
        if setting is None:
            others.append(word)
        else:
            settings[setting[1].replace("-", "_").lower()] = setting[2]
    return settings, others
