"""Sessions on PostgreSQL, also through a pooler that gives a server to each transaction.

Without such a pooler a session is ours, so our settings are set once. With one, the next transaction may run
on another server, and what one client sets for a session another one would get: each transaction sets its own
settings for itself alone, and nothing is prepared.

Our settings are not sent when the connection is started: poolers refuse or ignore such `options`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import Error, OperationalError
from psycopg.sql import SQL, Literal
from sqlalchemy import Connection, Engine, event

from recorder.store.dialects.postgres_timeouts import TimeLimitedConnection
from recorder.store.dialects.postgres_url import (
    OWN_PARAMETERS,
    OwnParameters,
    has_several_hosts,
    own_parameters,
    settings_in,
)

IDLE_TRANSACTION_SECONDS = 5
"""How long a transaction that writes may do nothing. A recorder that is frozen in one would hold up all the
others, since they wait for its locks."""

_REFUSED_PARAMETER = "unsupported startup parameter"
# The driver reads times in this form only.
_FORM_OF_TIMES = {"timezone": "UTC", "datestyle": "ISO"}
_BY_TRANSACTION = "transaction"


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How the sessions of an engine differ from PostgreSQL's defaults.

    `name` is the application name, unless the URL has one. With `primary`, of several hosts the one is taken
    that can be written to, unless the URL says otherwise. A lock is waited for `busy_seconds`, as is a
    response while a session is opened.
    """

    name: str
    read_only: bool
    primary: bool
    statement_seconds: float | None
    busy_seconds: float

    @property
    def limits(self) -> dict[str, str]:
        """The settings that a URL may change."""
        found = {"lock_timeout": _milliseconds(self.busy_seconds)}
        if not self.read_only:
            found["idle_in_transaction_session_timeout"] = _milliseconds(IDLE_TRANSACTION_SECONDS)
        if self.statement_seconds is not None:
            found["statement_timeout"] = _milliseconds(self.statement_seconds)
        return found

    @property
    def fixed(self) -> dict[str, str]:
        """The settings that a URL cannot change."""
        return _FORM_OF_TIMES | ({"default_transaction_read_only": "on"} if self.read_only else {})


class Session(TimeLimitedConnection):
    """A connection; `prelude` is what each of its transactions must run first, None if nothing."""

    prelude: str | None = None


def open_sessions(engine: Engine, options: SessionOptions) -> None:
    """Have `engine` open its connections with these options."""

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, _args: object, parameters: dict[str, Any]) -> Any:
        return _connect(parameters, options)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        prelude = connection.connection.driver_connection.prelude  # type: ignore[union-attr]
        if prelude is not None:
            connection.exec_driver_sql(prelude, execution_options={"no_parameters": True})


def _connect(parameters: dict[str, Any], options: SessionOptions) -> Session:
    """Open a connection as the URL's `parameters` say.

    Raises:
        OperationalError: that is not possible.
    """
    own = own_parameters(parameters)
    libpq = _libpq_parameters(parameters, options)
    startup = str(libpq.get("options", os.environ.get("PGOPTIONS", "")))
    pooled = own.pooler == _BY_TRANSACTION
    try:
        connection = Session.connect(**libpq | ({"options": ""} if pooled else {}))
    except OperationalError as error:
        if own.pooler is not None or not startup or _REFUSED_PARAMETER not in str(error):
            raise
        pooled = True
        connection = Session.connect(**libpq | {"options": ""})
    try:
        _prepare(connection, own, options, startup, pooled=pooled)
    except Error as error:
        connection.close()
        raise OperationalError(str(error)) from error
    return connection


def _prepare(
    connection: Session, own: OwnParameters, options: SessionOptions, startup: str, *, pooled: bool
) -> None:
    """Apply the options to a new connection, which has sent the `startup` options unless it is `pooled`."""
    connection.patience_seconds = options.busy_seconds
    connection.autocommit = True
    pooled = pooled or (own.pooler is None and _is_pooled(connection))
    given, others = settings_in(startup)
    path = {} if own.search_path is None else {"search_path": own.search_path}
    if pooled:
        if others:
            raise OperationalError(f"options cannot be sent through a pooler, except -c NAME=VALUE: {others}")
        connection.prepare_threshold = None
        connection.prelude = _statement(options.limits | given | path | _FORM_OF_TIMES, local=True)
        # A wrong setting should be told now, not by the first transaction.
        connection.execute(connection.prelude)
    else:
        connection.prepare_threshold = own.prepare_threshold
        limits = {name: value for name, value in options.limits.items() if name not in given}
        connection.execute(_statement(limits | path | options.fixed, local=False))
    connection.autocommit = False
    # Each transaction says so itself, which holds whatever is in between.
    connection.read_only = options.read_only or None
    connection.patience_seconds = None


def _is_pooled(connection: Session) -> bool:
    """Whether something else than the server has accepted the connection.

    What accepts it gives out the process id with which statements can be cancelled; a pooler makes up one.
    """
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return row is not None and row[0] != connection.info.backend_pid


def _statement(settings: Mapping[str, str], *, local: bool) -> str:
    calls = [
        SQL("set_config({}, {}, {})").format(Literal(name), Literal(value), Literal(local))
        for name, value in settings.items()
    ]
    return SQL("SELECT {}").format(SQL(", ").join(calls)).as_string(None)


def _libpq_parameters(parameters: Mapping[str, Any], options: SessionOptions) -> dict[str, Any]:
    given = {name: value for name, value in parameters.items() if name not in OWN_PARAMETERS}
    defaults: dict[str, Any] = {
        "connect_timeout": os.environ.get("PGCONNECT_TIMEOUT") or round(options.busy_seconds),
        "tcp_user_timeout": _milliseconds(options.busy_seconds),
        "fallback_application_name": options.name,
    }
    if options.primary and has_several_hosts(given) and "PGTARGETSESSIONATTRS" not in os.environ:
        defaults["target_session_attrs"] = "read-write"
    return {**defaults, **given, "client_encoding": "UTF8"}


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))
