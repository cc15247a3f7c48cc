"""A stream on which writing never waits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest

from recorder.log_stream import LINES, LogStream

BIG = "x" * 70_000 + "\n"
"""More than a pipe holds."""


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def _read(fd: int, size: int) -> str:
    text = bytearray()
    while len(text) < size:
        text += os.read(fd, size - len(text))
    return text.decode()


def test_everything_is_written_in_order(tmp_path: Path) -> None:
    with tmp_path.joinpath("log").open("wb") as file:
        stream = LogStream(file.fileno(), report=pytest.fail)
        for number in range(LINES):
            stream.write(f"{number} \N{SNOWMAN} \ud800\n")
        stream.drain()
        assert tmp_path.joinpath("log").read_text("utf-8").splitlines() == [
            f"{number} \N{SNOWMAN} \\ud800" for number in range(LINES)
        ]


def test_while_nobody_reads_writing_returns_and_the_dropped_lines_are_counted(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    reported: Queue[int] = Queue()
    stream = LogStream(writing, reported.put)
    for _ in range(LINES + 7):
        stream.write(BIG)
    stream.drain(0.01)
    assert _read(reading, LINES * len(BIG)) == BIG * LINES
    stream.drain()
    assert reported.get() == 7
    assert reported.empty()


def test_lines_that_cannot_be_written_are_counted_once_others_can(pipe: tuple[int, int]) -> None:
    _, writing = pipe
    reported: Queue[int] = Queue()
    with Path("/dev/full").open("wb") as full:
        fd = os.dup(full.fileno())
        stream = LogStream(fd, reported.put)
        stream.write("lost\n")
        stream.write("lost\nlost too\n")
        stream.drain()
        assert reported.empty()
        os.dup2(writing, fd)
        stream.write("kept\n")
        assert reported.get() == 3


def test_it_is_a_terminal_if_its_descriptor_is_one(pipe: tuple[int, int]) -> None:
    controller, terminal = os.openpty()
    try:
        assert LogStream(terminal, report=pytest.fail).isatty()
        assert not LogStream(pipe[1], report=pytest.fail).isatty()
    finally:
        os.close(controller)
        os.close(terminal)
