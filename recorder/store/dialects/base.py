"""Everything that differs between databases: to support another one, implement `StoreDialect` for it.

The rest of the store is written once. It asks the dialect of its connection and never branches on a name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import URL, ColumnElement, Connection, Engine, Executable, Select, Table
from sqlalchemy.types import TypeEngine

from recorder.clock import utc_now

BUSY_TIMEOUT_SECONDS = 5
"""How long to wait for a lock, for a new connection, and for a server that does not respond."""

WRITING = "recorder_writing"
"""Execution option of a connection: its transactions are going to write."""

ROWS = "rows"
"""The parameter of a statement that uses `StoreDialect.rows_of`."""

CatalogueRow = tuple[str, str, str, str]
"""A part of a schema: its kind, its table, its name and its definition as the database spells it."""


@dataclass(frozen=True, slots=True)
class ReplicaTime:
    """The database's time, and how far its data is `behind`: 0 on a primary, None if a standby does not know,
    because nothing was copied since it was started."""

    now: datetime
    behind: timedelta | None


class DatabaseUrlError(ValueError):
    """The text is not the URL of a database that the recorder can use."""


class FilesLostError(Exception):
    """The database's files were deleted or replaced; the text says which."""


class FilesRefusedError(Exception):
    """This user may not read the database's files; the text says which, why, and what helps."""


class FileWatch:
    """Watches the files of an open database until it is closed; a server has none."""

    def lost(self) -> str | None:
        """Return which file was deleted or replaced, None if none was."""
        return None

    def close(self) -> None:
        """Stop watching."""


class StoreDialect(ABC):
    """One kind of database. `name` is SQLAlchemy's name for it."""

    name: ClassVar[str]

    # Its URLs
    drivers: ClassVar[frozenset[str]]
    """The schemes that its URLs may have."""
    url_form: ClassVar[str]
    """An example of its URLs, for messages."""

    # Its tables
    table_options: ClassVar[Mapping[str, Any]] = {}
    """Keyword arguments for every table."""
    id_collation: ClassVar[str | None] = None
    """The collation that sorts texts by their UTF-8 bytes, None if the default one does."""
    time_type: ClassVar[TypeEngine[Any]]
    """The type of a column of times, which must sort as the times do."""

    # Its statements
    cte_prefix: ClassVar[str | None] = None
    """What makes the database evaluate a common table expression once, None if it always does."""
    clock_query: ClassVar[str | None] = None
    """The statement that reads the server's clock, None if there is no server."""
    data_mark_query: ClassVar[str]
    """The statement whose result differs if another connection has committed anything since the same
    connection last asked; NULL if that cannot be known. It is cheap however large the database is."""
    has_roles: ClassVar[bool]
    """Whether access can be granted per role."""

    @abstractmethod
    def check_url(self, url: URL) -> URL:
        """Return `url` with the driver to use.

        Raises:
            DatabaseUrlError: the recorder cannot use such a database. The text does not repeat the URL.
        """

    def with_pooler(self, url: URL, pooler: str | None) -> URL:
        """Return `url` with the kind of its pooler; see `recorder.store.engine.with_pooler`."""
        return url

    def display_url(self, url: URL) -> str:
        """Return a URL without its password and parameters, which may be secret."""
        return url.set(query={}).render_as_string(hide_password=True)

    @abstractmethod
    def open_engine(
        self, url: URL, *, read_only: bool, primary: bool, timeout_seconds: float | None, name: str
    ) -> Engine:
        """Open a database; see `recorder.store.engine.open_engine`.

        Transactions must see one snapshot if `read_only` is set. Otherwise two transactions with the option
        WRITING that would change the same rows must wait for each other.
        """

    def files(self, url: URL) -> Sequence[Path]:
        """Return the file of a database, then those that can exist beside it; none for a server."""
        return ()

    def watch_files(self, url: URL) -> FileWatch:
        """Start watching the files of a database that is in use."""
        return FileWatch()

    @abstractmethod
    def to_time_column(self, value: datetime) -> Any:
        """Return an aware time as a value for a column of type `time_type`."""

    @abstractmethod
    def from_time_column(self, value: Any) -> datetime:
        """Return the aware UTC time that a column of type `time_type` holds."""

    @abstractmethod
    def insert(self, table: Table) -> Any:
        """Return an INSERT that has `excluded` and `on_conflict_do_update`."""

    @abstractmethod
    def rows_of(self, types: Sequence[TypeEngine[Any]]) -> Sequence[ColumnElement[Any]]:
        """Return columns of `types` of a table whose rows are the parameter ROWS, made by `rows_value`.

        A statement with it is the same for any number of rows, and so is compiled and prepared once.
        """

    @abstractmethod
    def rows_value(self, rows: Sequence[tuple[Any, ...]]) -> str:
        """Return the parameter ROWS: rows of texts, numbers, aware times and None."""

    def write_rows(
        self,
        connection: Connection,
        table: Table,
        rows: Sequence[Mapping[str, Any]],
        *,
        replace: bool = False,
    ) -> None:
        """Insert rows that all have the same columns; with `replace`, in place of those with the same key."""
        if rows:
            connection.execute(*self.insertion(table, rows, replace=replace))

    def insertion(
        self, table: Table, rows: Sequence[Mapping[str, Any]], *, replace: bool
    ) -> tuple[Executable, Any]:
        """Return the statement that inserts rows, and its parameters."""
        return self.put(table, rows[0].keys(), None, replace=replace), list(rows)

    def put(
        self, table: Table, names: Collection[str], source: Select[Any] | None, *, replace: bool
    ) -> Executable:
        """Return a statement that inserts columns; their values are parameters unless selected."""
        statement = self.insert(table)
        if source is not None:
            statement = statement.from_select(list(names), source)
        if replace:
            keys = [column.name for column in table.primary_key]
            updated = {name: statement.excluded[name] for name in names if name not in keys}
            statement = statement.on_conflict_do_update(index_elements=keys, set_=updated)
        executable: Executable = statement
        return executable

    @abstractmethod
    def seconds_between(self, start: str, end: str) -> str:
        """Return SQL for the seconds from one time to another; see `functions.seconds_between`."""

    @abstractmethod
    def digest_of_rows(self, columns: Sequence[str]) -> str:
        """Return SQL for an aggregate that differs whenever one of these columns does in any row."""

    @abstractmethod
    def time_text(self, time: str) -> str:
        """Return SQL for a time as text in the recorder's own form."""

    @property
    @abstractmethod
    def driver_error(self) -> type[Exception]:
        """The driver's error for a database that cannot be used, as raised past SQLAlchemy."""

    @abstractmethod
    def is_timeout(self, error: BaseException) -> bool:
        """Whether a driver's error means that a statement was cancelled because it took too long."""

    def lacks_privilege(self, error: BaseException) -> bool:
        """Whether a driver's error means that the role may not do this."""
        return False

    def is_read_only(self, error: BaseException) -> bool:
        """Whether a driver's error means that the server takes no writes, as a standby does."""
        return False

    def may_come(self, error: BaseException) -> bool:
        """Whether a driver's error means that the server is not there, but may be about to start."""
        return False

    def replica_time(self, connection: Connection) -> ReplicaTime:
        """Return the database's time, and how far behind the data is that a new transaction reads."""
        return ReplicaTime(utc_now(), timedelta())

    # Verification
    @abstractmethod
    def raw_time_text(self, column: str) -> str:
        """Return SQL for a column of times as text, whatever value it holds: in the recorder's own form if
        there is one, otherwise as the database shows it."""

    @abstractmethod
    def reading_invalid_text(self, connection: Connection) -> AbstractContextManager[None]:
        """Decode text that is not valid UTF-8 with `surrogateescape` while the block runs, if the database
        can hold such text."""

    def is_invalid_text(self, error: BaseException) -> bool:
        """Whether a driver's error means that it read text that is not valid UTF-8."""
        return False

    def allow_idling(self, connection: Connection) -> None:  # noqa: B027 (not all have such a limit)
        """Let the transaction do nothing for as long as it likes, as it does while much is computed."""

    # The schema
    @abstractmethod
    def begin_alone(self, connection: Connection) -> AbstractContextManager[object]:
        """Begin a transaction on a connection with the option WRITING, once no other one of this kind runs.

        The transaction may do nothing for as long as it likes.
        """

    def current_schema(self, connection: Connection) -> str | None:
        """Return the schema that `connection` creates tables in, None if there is none."""
        return None

    def unsuitable(self, connection: Connection) -> str | None:
        """Return why no ledger can be in the database, and what helps; None if one can."""
        return None

    def fed_by(self, connection: Connection) -> str | None:
        """Return the name of what writes another database's ledger into this one; None if nothing does."""
        return None

    @abstractmethod
    def catalogue(self, connection: Connection) -> list[CatalogueRow]:
        """Return every part of the schema that `connection` works in."""

    def shrink(self, connection: Connection, pages: int) -> bool:
        """Give up to `pages` unused pages back to the system; return whether there may be more.

        The transaction of `connection` has the option WRITING. Only some databases shrink a little at a time.
        """
        return False

    @abstractmethod
    def empty_schema(self, connection: Connection) -> AbstractContextManager[Connection]:
        """Yield a connection to an empty schema that is gone after the block.

        Raises:
            PermissionError: the role of `connection` may not create a schema.
        """
