"""Archive files: the lines of an export, compressed by the name of the file."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, cast

import zstandard

from recorder.audit.archive.part_file import part_file
from recorder.audit.export_format import ImportRefusedError, read_export
from recorder.audit.file_sums import sum_line, sum_path
from recorder.audit.folder_sync import sync_folder
from recorder.ledger.entries import Entry
from recorder.ledger.watch import Watch

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_ZSTD_LEVEL = 9
_CHUNK = 2**17
NO_GAPS = timedelta()
"""Only for groups that are watched does an export's reader need to know when a gap opens."""


@dataclass(frozen=True, slots=True)
class ArchivedLedger:
    """A ledger in an archive: its head, which proves it, and the times of its first and last entry."""

    taskgroup_id: str
    head_seq: int
    head_digest: str
    first_at: datetime
    last_at: datetime


def require_new(path: Path) -> None:
    """Refuse to write an archive where one is, or its sum.

    Raises:
        FileExistsError: a file of that name exists.
    """
    for there in (path, sum_path(path)):
        if os.path.lexists(there):
            raise FileExistsError(17, "exists already; an archive is never overwritten", str(there))


def write_archive(path: Path, lines: Iterable[bytes]) -> str:
    """Write lines to a new file, and its sum beside it; return the sum.

    The file gets its name once it is complete and on disk.

    Raises:
        OSError: it cannot be written, or a file of that name exists.
    """
    require_new(path)
    with part_file(path.parent) as (file, part):
        summed = _Summed(file)
        with _compressing(path.name, summed) as write:
            for line in lines:
                write(line)
        file.flush()
        os.fsync(file.fileno())
        _name(part, path)
    digest = summed.sum.hexdigest()
    with sum_path(path).open("xb") as file:
        file.write(sum_line(digest, path.name))
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)
    return digest


def discard_archive(path: Path) -> None:
    """Remove an archive that nothing depends on yet."""
    for there in (path, sum_path(path)):
        there.unlink(missing_ok=True)


@contextmanager
def opened_archive(path: Path) -> Iterator[tuple[Iterator[bytes], Callable[[], int]]]:
    """Yield the lines of an archive, and what tells how many bytes of the file are read."""
    with path.open("rb") as file:
        yield plain_lines(file), file.tell


def plain_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of an export, decompressed if need be.

    Raises:
        ImportRefusedError: it cannot be decompressed.
    """
    begin = cast(io.BufferedReader, file).peek(4)[:4]
    lines: Iterable[bytes] = file
    if begin.startswith(_GZIP):
        lines = gzip.GzipFile(fileobj=file)
    elif begin == _ZSTD:
        lines = _lines(_zstd_chunks(file))
    try:
        yield from lines
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ImportRefusedError(f"the file cannot be decompressed: {error}") from None


def _zstd_chunks(file: BinaryIO) -> Iterator[bytes]:
    """Decompress a file; unlike the library's own reader, tell when the file ends too early."""
    frame = zstandard.ZstdDecompressor().decompressobj()
    while given := file.read(_CHUNK):
        while given:
            if frame.eof:
                frame = zstandard.ZstdDecompressor().decompressobj()
            yield frame.decompress(given)
            given = frame.unused_data
    if not frame.eof:
        raise EOFError("it ends within a frame")


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line + b"\n" for line in whole)
    if rest:
        yield rest


def read_ledgers(
    lines: Iterable[bytes], look: Callable[[Entry], object] = lambda _: None
) -> Iterator[ArchivedLedger]:
    """Prove the lines of an archive, and yield each ledger once it is read; `look` is given every entry.

    Raises:
        ImportRefusedError: a line is wrong; the message has its number and the reason.
    """
    first: Entry | None = None
    for item in read_export(lines, NO_GAPS):
        if isinstance(item, Watch):
            if first is not None:
                head = item.head
                yield ArchivedLedger(item.taskgroup_id, head.seq, head.digest, first.at, head.at)
            first = None
        else:
            first = first or item
            look(item)


class _Summed:
    """Passes what is written on to a file, and keeps its sum."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sum = sha256()

    def write(self, data: bytes) -> int:
        self.sum.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _compressing(name: str, file: _Summed) -> AbstractContextManager[Callable[[bytes], object]]:
    """Return a function that writes to `file`, compressed as the name of the archive says."""
    raw = cast(BinaryIO, file)
    if name.endswith(".gz"):
        return _closing(gzip.GzipFile("", "wb", fileobj=raw, mtime=0))
    if name.endswith((".zst", ".zstd")):
        compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True)
        return _closing(compressor.stream_writer(raw, closefd=False))
    return nullcontext(file.write)


@contextmanager
def _closing(opened: Any) -> Iterator[Callable[[bytes], object]]:
    with opened:
        yield opened.write


def _name(part: Path, path: Path) -> None:
    """Give a file its name unless one has it; a rename would replace that one."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise FileExistsError(17, "exists already; an archive is never overwritten", str(path)) from None
    except OSError:
        # Not all file systems have hard links.
        require_new(path)
        part.rename(path)
