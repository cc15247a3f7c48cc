"""The folder that programs write to: what is read, and when."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recorder.enrolment_folder import EnrolmentFolder, EnrolmentLine, created_groups


def _append(folder: Path, text: str | bytes, name: str = "1.ndjson") -> None:
    with (folder / name).open("ab") as file:
        file.write(text.encode() if isinstance(text, str) else text)


def _line(name: str, runs: int | None = None, key: str = "k") -> str:
    added = "" if runs is None else f',"add_runs":{runs}'
    return f'{{"taskgroup_id":"{name}"{added},"key":"{key}"}}\n'


def test_each_line_is_read_once_when_it_is_whole(tmp_path: Path) -> None:
    folder = EnrolmentFolder(tmp_path)
    assert folder.read().lines == []
    _append(tmp_path, _line("a") + "\n" + '{"taskgroup_id":"b",')
    _append(tmp_path, _line("c", 3), "2.ndjson")
    _append(tmp_path, _line("other"), "2.txt")
    assert folder.read().lines == [EnrolmentLine("a", None, "k"), EnrolmentLine("c", 3, "k")]
    assert folder.read().lines == []
    _append(tmp_path, '"key":"l"}\n')
    assert folder.read().lines == [EnrolmentLine("b", None, "l")]


def test_a_file_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    folder = EnrolmentFolder(tmp_path)
    _append(tmp_path, _line("a") + _line("b"))
    folder.read()
    (tmp_path / "1.ndjson").write_text(_line("c"))
    assert [line.taskgroup_id for line in folder.read().lines] == ["c"]
    (tmp_path / "1.ndjson").unlink()
    assert folder.read().lines == []
    _append(tmp_path, _line("d"))
    assert [line.taskgroup_id for line in folder.read().lines] == ["d"]


BAD = [
    ("not JSON", "is not JSON"),
    ("[" * 100_000, "is not JSON"),
    (b"\xff\xfe", "is not JSON"),
    ("[]", "is not a JSON object"),
    ("{}", "needs taskgroup_id and key"),
    ('{"taskgroup_id":1,"key":"k"}', "needs taskgroup_id and key"),
    ('{"taskgroup_id":"a","key":""}', "key is not 1 to 255"),
    ('{"taskgroup_id":"a","key":"\\u0000"}', "key is not 1 to 255"),
    ('{"taskgroup_id":"a","key":"k","add_runs":true}', "add_runs is not a whole number"),
    ('{"taskgroup_id":"a","key":"k","add_runs":0}', "add_runs is not a whole number"),
    ('{"taskgroup_id":"a","key":"k","add_runs":9007199254740992}', "add_runs is not a whole number"),
    ('{"taskgroup_id":"a/b","key":"k"}', "taskgroup_id contains"),
]


@pytest.mark.parametrize(("text", "words"), BAD)
def test_bad_lines_are_named_once_and_skipped(tmp_path: Path, text: str | bytes, words: str) -> None:
    folder = EnrolmentFolder(tmp_path)
    _append(tmp_path, _line("a"))
    _append(tmp_path, text)
    _append(tmp_path, "\n" + _line("b"))
    content = folder.read()
    assert [line.taskgroup_id for line in content.lines] == ["a", "b"]
    (complaint,) = content.complaints
    assert complaint.startswith(f"{tmp_path / '1.ndjson'}, line 2: {words}")
    assert folder.read().complaints == []


def test_a_line_without_an_end_is_given_up(tmp_path: Path) -> None:
    folder = EnrolmentFolder(tmp_path)
    _append(tmp_path, b"x" * (1 << 20))
    content = folder.read()
    assert content.more and "is longer than" in content.complaints[0]
    _append(tmp_path, "x\n" + _line("a"))
    assert [line.taskgroup_id for line in folder.read().lines] == ["a"]


def test_many_lines_are_read_in_parts(tmp_path: Path) -> None:
    folder, found = EnrolmentFolder(tmp_path), []
    for number in range(3):
        _append(tmp_path, "".join(_line(f"{number}-{place}") for place in range(30_000)), f"{number}.ndjson")
    reads = 0
    while True:
        content = folder.read()
        reads += 1
        found += content.lines
        if not content.more:
            break
    assert [line.taskgroup_id for line in found] == [
        f"{number}-{place}" for number in range(3) for place in range(30_000)
    ]
    assert reads >= 3


def test_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ndjson")
    (tmp_path / "folder.ndjson").mkdir()
    (tmp_path / "gone.ndjson").symlink_to(tmp_path / "nowhere")
    assert EnrolmentFolder(tmp_path).read().complaints == []
    with pytest.raises(OSError, match="nowhere"):
        EnrolmentFolder(tmp_path / "nowhere").read()


def test_runs_are_added_up_by_key() -> None:
    lines = [
        EnrolmentLine("a", None, "a"),
        EnrolmentLine("b", 2, "x"),
        EnrolmentLine("a", 3, "y"),
        EnrolmentLine("a", 3, "y"),
        EnrolmentLine("a", 1, "z"),
    ]
    assert created_groups(lines) == {"a": {"y": 3, "z": 1}, "b": {"x": 2}}
