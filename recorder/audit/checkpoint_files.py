"""Checkpoints in files: whole, compressed, or as what changed since a whole one, the base.

The file of changes has a line for every head that differs: as in a checkpoint if the group has newer entries
or is new, else the number of its line in the base with the end of its open interval. Its first line names the
base and its digest, and its last line the digest of the whole checkpoint and the groups that are in the base
alone. A checkpoint that is put together again has the same lines, and so the same digest, as one that was
written whole.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from recorder.audit.checkpoints import (
    CheckpointHead,
    checkpoint_digest,
    checkpoint_lines,
    read_checkpoint,
)
from recorder.audit.file_sums import kept_sum, sum_path

_GZIP = 31
"""What zlib calls the format of gzip."""
_GZIP_MAGIC = b"\x1f\x8b"
_FIRST, _LAST = ("base", "base_digest"), ("digest", "missing")


class ChangedFileError(Exception):
    """A file is not the one that was written, or not whole; the text names it, and what is wrong."""


def packed(lines: Iterable[bytes]) -> bytes:
    """Compress lines as gzip does."""
    packer = zlib.compressobj(9, zlib.DEFLATED, _GZIP)
    return b"".join([*map(packer.compress, lines), packer.flush()])


def changed_lines(base: Sequence[bytes], base_name: str, heads: Iterable[CheckpointHead]) -> Iterator[bytes]:
    """Yield the lines of the file of changes for `heads`; `base` are the lines of a valid base."""
    known = {orjson.loads(line)["taskgroup_id"]: number for number, line in enumerate(base)}
    yield _line(_FIRST, base_name, checkpoint_digest(base))
    digest = sha256()
    for head in heads:
        (line,) = checkpoint_lines([head])
        digest.update(line)
        number = known.pop(head.taskgroup_id, None)
        before = None if number is None else orjson.loads(base[number])
        if number is None or before is None or (before["seq"], before["digest"]) != (head.seq, head.digest):
            yield line
        elif base[number] != line:
            members = head.members()
            changed = {"line": number + 1, "last_seen_at": members["last_seen_at"], "polls": head.polls}
            yield orjson.dumps(changed) + b"\n"
    yield _line(_LAST, digest.hexdigest(), list(known))


def lines_of_file(path: Path) -> list[bytes]:
    """Return the lines of a checkpoint from its file, whether it is compressed, or the changes since another.

    Raises:
        ChangedFileError: the file or its base was changed, is cut or is missing.
        CheckpointError: it has a line that is not valid.
        OSError: it cannot be read.
    """
    lines = _unpacked(path)
    first = _members(lines, 0, _FIRST)
    if first is None:
        return lines
    last = _members(lines, -1, _LAST)
    if last is None:
        raise ChangedFileError(f"{path}: the checkpoint file was changed: its last line is missing")
    base = path.with_name(Path(str(first["base"])).name)
    if not base.is_file():
        raise ChangedFileError(f"{path}: its base {base.name} is not beside it")
    whole = _unpacked(base)
    if checkpoint_digest(whole) != first["base_digest"]:
        raise ChangedFileError(f"{path}: {base.name} is not the base that it was written for, or was changed")
    try:
        put_together = list(_put_together(whole, lines[1:-1], last["missing"]))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        raise ChangedFileError(f"{path}: the checkpoint file was changed: it does not fit its base") from None
    if checkpoint_digest(put_together) != last["digest"]:
        raise ChangedFileError(
            f"{path}: the checkpoint file was changed: with its base it has another digest than it says"
        )
    return put_together


def read_checkpoint_file(path: Path) -> Mapping[str, CheckpointHead]:
    """Return the heads of a checkpoint from its file, by group id.

    Raises:
        ChangedFileError: as by `lines_of_file`.
        CheckpointError: a line is not a valid one.
        OSError: it cannot be read.
    """
    return read_checkpoint(lines_of_file(path))


def _put_together(base: Sequence[bytes], changes: Iterable[bytes], missing: Iterable[str]) -> Iterator[bytes]:
    found = {orjson.loads(line)["taskgroup_id"]: line for line in base}
    for taskgroup_id in missing:
        del found[taskgroup_id]
    for line in changes:
        changed = orjson.loads(line)
        if "line" in changed:
            number = changed.pop("line")
            if number < 1:
                raise IndexError(number)
            changed = {**orjson.loads(base[number - 1]), **changed}
        found[changed["taskgroup_id"]] = orjson.dumps(changed) + b"\n"
    for taskgroup_id in sorted(found, key=str.encode):
        yield found[taskgroup_id]


def _line(names: tuple[str, ...], *values: Any) -> bytes:
    return orjson.dumps(dict(zip(names, values, strict=True))) + b"\n"


def _members(lines: Sequence[bytes], place: int, names: tuple[str, ...]) -> dict[str, Any] | None:
    """Return the members of a line if it has those names, and no others."""
    try:
        found = orjson.loads(lines[place])
    except (ValueError, IndexError):
        return None
    return found if isinstance(found, dict) and found.keys() == set(names) else None


def _unpacked(path: Path) -> list[bytes]:
    content = path.read_bytes()
    known = kept_sum(path)
    if known is not None and known != sha256(content).hexdigest():
        raise ChangedFileError(
            f"{path}: the checkpoint file was changed: its digest is not the one in {sum_path(path).name}"
        )
    if content.startswith(_GZIP_MAGIC):
        unpacker = zlib.decompressobj(_GZIP)
        with suppress(zlib.error):
            content = unpacker.decompress(content)
        if not unpacker.eof or unpacker.unused_data:
            raise ChangedFileError(
                f"{path}: the checkpoint file was changed: it cannot be unpacked as a whole"
            )
    return content.splitlines(keepends=True)
