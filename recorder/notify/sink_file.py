"""The file that lists the sinks, in TOML: what it says, and everything that is wrong with it."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_address
from math import isfinite
from typing import Any
from urllib.parse import SplitResult, urlsplit

from recorder.completion.labels import label_text, mark_of, texts_meant
from recorder.notify.events import EventType
from recorder.notify.sinks import Sink, SinkKind
from recorder.notify.standard_webhooks import signing_key

_MEMBERS = {
    SinkKind.WEBHOOK: ("name", "url", "secret_env", "events", "where"),
    SinkKind.NOTIFY: ("name", "url_env", "events", "where"),
}
_PRIVATE_ENDINGS = (".localhost", ".local", ".internal", ".lan", ".home.arpa")
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class SinkFile:
    """The sinks of a file, and a complaint about each mistake in it; the sinks with mistakes are left out."""

    sinks: tuple[Sink, ...]
    complaints: tuple[str, ...]


class _MistakeError(ValueError):
    """A member is not as it should be; the text says what is wrong and what is allowed."""


def read_sink_file(text: str, environment: Mapping[str, str | None]) -> SinkFile:
    """Read the text of a file of sinks, whose secrets are in variables of `environment`."""
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return SinkFile((), (f"is not TOML: {error}",))
    complaints = [f"{name} is unknown; {_meant(name, SinkKind)}" for name in tables if name not in _MEMBERS]
    sinks: list[Sink] = []
    for kind in SinkKind:
        listed = tables.get(kind.value, [])
        if not isinstance(listed, list) or not all(isinstance(table, dict) for table in listed):
            complaints.append(f"{kind.value} is not a list of tables; begin each with [[{kind.value}]]")
            continue
        for number, table in enumerate(listed, 1):
            reader = _SinkReader(kind, number, table, environment)
            sink = reader.read()
            complaints += reader.complaints
            sinks += [] if sink is None else [sink]
    complaints += _repeated(tables)
    if not complaints and not sinks:
        complaints.append("lists no sink; begin one with [[webhook]] or [[notify]]")
    return SinkFile(tuple(sinks), tuple(complaints))


class _SinkReader:
    """Reads the table of one sink."""

    def __init__(
        self, kind: SinkKind, number: int, table: dict[str, Any], environment: Mapping[str, str | None]
    ) -> None:
        self.complaints: list[str] = []
        self._kind = kind
        self._table = table
        self._environment = environment
        name = table.get("name")
        self._place = f"{kind.value} {number}" + (f" ({name[:80]!a})" if isinstance(name, str) else "")

    def read(self) -> Sink | None:
        """Return the sink, None if there are complaints."""
        known = _MEMBERS[self._kind]
        for member in self._table:
            if member not in known:
                self.complaints.append(f"{self._place}: {member} is unknown; {_meant(member, known)}")
        values = {member: self._member(member) for member in known}
        if self.complaints:
            return None
        address = values["url"] if self._kind is SinkKind.WEBHOOK else values["url_env"]
        key = values.get("secret_env")
        return Sink(values["name"], self._kind, address, key, values["events"], values["where"])

    def _member(self, member: str) -> Any:
        try:
            return _READERS[member](self._table.get(member), self._environment)
        except _MistakeError as error:
            self.complaints.append(f"{self._place}: {member} {error}")
            return None


def _name(value: Any, _: object) -> str:
    if value is None:
        raise _MistakeError("is missing; give each sink a name of its own")
    if not isinstance(value, str) or not 1 <= len(value.strip()) <= _LONGEST_NAME or not value.isprintable():
        raise _MistakeError(f"is not a text of 1 to {_LONGEST_NAME} printable characters")
    if value != value.strip():
        raise _MistakeError("begins or ends with a space")
    return value


def _url(value: Any, _: object) -> str:
    if value is None:
        raise _MistakeError("is missing; give the https:// address that takes the requests")
    allowed = "an https:// address without user and fragment, such as https://hooks.example.org/recorder"
    parts = _parts(value)
    if parts is None or parts.scheme not in {"http", "https"} or parts.username is not None or parts.fragment:
        raise _MistakeError(f"is not allowed; allowed: {allowed}")
    if parts.scheme == "http" and not _is_private(str(parts.hostname)):
        raise _MistakeError(
            f"is http:// to {parts.hostname}, so that anyone on the way could read and change what is sent; "
            "use https://, or an address of this machine or of a private network"
        )
    return str(value)


def _parts(value: Any) -> SplitResult | None:
    """Return the parts of a URL, None if it is none."""
    if not isinstance(value, str) or not value.isprintable() or set(value) & set(" \"'<>\\"):
        return None
    try:
        parts = urlsplit(value)
        return parts if parts.hostname and parts.port != 0 else None
    except ValueError:
        return None


def _is_private(host: str) -> bool:
    """Whether a host is this machine or in a private network, as far as its name tells."""
    try:
        address = ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(_PRIVATE_ENDINGS)
    return address.is_private and not address.is_unspecified


def _variable(value: Any, environment: Mapping[str, str | None], what: str) -> str:
    """Return the secret in the variable that a member names."""
    if value is None:
        raise _MistakeError(f"is missing; name the environment variable that holds {what}")
    if not isinstance(value, str) or not value.isidentifier():
        raise _MistakeError(f"is not the name of an environment variable; it is to hold {what}")
    secret = (environment.get(value) or "").strip()
    if not secret:
        raise _MistakeError(f"names {value}, which is not set; set it to {what}")
    return secret


def _secret(value: Any, environment: Mapping[str, str | None]) -> bytes:
    secret = _variable(value, environment, "the secret that signs the requests")
    try:
        return signing_key(secret)
    except ValueError as error:
        raise _MistakeError(f"names {value}, which {error}") from None


def _service(value: Any, environment: Mapping[str, str | None]) -> str:
    return _variable(value, environment, "the service's address for Apprise")


def _events(value: Any, _: object) -> frozenset[EventType]:
    if value is None:
        return frozenset(EventType)
    if not isinstance(value, list) or not value:
        raise _MistakeError(f"is not a list of types of events; allowed: {', '.join(EventType)}")
    unknown = [one for one in value if not isinstance(one, str) or one not in set(EventType)]
    if unknown:
        names = ", ".join(f"{one!a}"[:80] for one in unknown)
        verb = "are no types" if len(unknown) > 1 else "is no type"
        raise _MistakeError(f"has {names}, which {verb} of events; {_meant(str(unknown[0]), EventType)}")
    return frozenset(map(EventType, value))


def _where(value: Any, _: object) -> dict[str, frozenset[str]]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not value:
        raise _MistakeError('is not a table of metadata, such as { customer = "acme" }')
    return {mark_of(label_text(key)): _marks(key, wanted) for key, wanted in value.items()}


def _marks(key: str, wanted: Any) -> frozenset[str]:
    """Return the marks of the values that are meant: a text also means another scalar of that text."""
    if isinstance(wanted, str):
        return frozenset(map(mark_of, texts_meant(wanted)))
    if not isinstance(wanted, int | float) or not isfinite(wanted):
        raise _MistakeError(f"has {key[:80]!a}, whose value is not a text, a number, true or false")
    return frozenset([mark_of(label_text(wanted))])


_READERS = {
    "name": _name,
    "url": _url,
    "secret_env": _secret,
    "url_env": _service,
    "events": _events,
    "where": _where,
}


def _repeated(tables: Mapping[str, Any]) -> Iterator[str]:
    """Yield a complaint about each name that several sinks have."""
    lists = (tables.get(kind.value) for kind in SinkKind)
    listed = [table for each in lists if isinstance(each, list) for table in each if isinstance(table, dict)]
    names = Counter(name for table in listed if isinstance(name := table.get("name"), str))
    for name, count in names.items():
        if count > 1:
            yield f"{count} sinks have the name {name[:80]!a}; give each a name of its own"


def _meant(name: str, known: Iterable[str]) -> str:
    allowed = list(known)
    close = get_close_matches(name, allowed, n=1)
    return f"did you mean {close[0]}?" if close else f"allowed: {', '.join(allowed)}"
