"""`recorder completion` without a group: a row per cohort, the curves, and the data behind the numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
from rich.cells import cell_len
from sqlalchemy import Engine

from recorder.cli.main import recorder
from recorder.store.durations import durations_of
from tests.support.program import Program
from tests.support.recording import Recording, active, settled
from tests.support.terminal import EVIL, WIDTHS, control_characters, shown, unwrapped

BLOCKS = "▁▂▃▄▅▆▇█"


def add_episode(recording: Recording, name: str, at: float, lasting: float | None, **members: Any) -> None:
    """Record an episode of `lasting` seconds from `at` on, or one that is still open after 61 s."""
    members = {"created_at": timestamp(at), **members}
    recording.watch(name, at=at)
    recording.see(name, at + 1, active(running=1), **members)
    if lasting is None:
        recording.see(name, at + 31, active(running=1), **members)
        recording.see(name, at + 61, active(running=1), **members)
    else:
        end = {**settled(completed=1), "modified_at": timestamp(at + lasting)}
        recording.see(name, at + lasting + 1, end, **members)


def timestamp(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"2026-11-24T12:{minutes:02.0f}:{rest:09.6f}Z"


def metadata_of(processor: Any) -> dict[str, Any]:
    return {"metadata": {"processor": processor}}


@pytest.fixture
def recording(engine: Engine) -> Recording:
    """Episodes of 20 to 80 s on `lite`, of 30 s on `pro`, and open ones on `pro`, 1, "1" and nothing."""
    recording = Recording(engine)
    for number, lasting in enumerate((20, 40, 60, 80)):
        add_episode(recording, f"lite-{number}", 100 * number, lasting, **metadata_of("lite"))
    add_episode(recording, "pro-1", 400, 30, **metadata_of("pro"))
    add_episode(recording, "pro-2", 450, None, **metadata_of("pro"))
    add_episode(recording, "number", 510, None, **metadata_of(1))
    add_episode(recording, "text", 520, None, **metadata_of("1"))
    add_episode(recording, "other", 530, None)
    return recording


def rows(out: str) -> dict[str, list[str]]:
    """The rows of a table by their first cell, without continuation lines."""
    lines = out.splitlines()
    rule = next(number for number, line in enumerate(lines) if line.startswith("──"))
    cells_of_lines = [
        re.split(" {2,}", line.strip()) for line in lines[rule + 1 :] if re.search(r" of \d+ ", line)
    ]
    return {cells[0]: cells[1:] for cells in cells_of_lines}


def test_a_row_per_cohort(program: Program, recording: Recording) -> None:
    out = program.ok("completion", "--group-by", "metadata.processor")
    lines = rows(out)
    assert list(lines) == ['"1"', "lite", "pro", "1", "no processor"]
    assert lines["lite"][:-1] == ["4 of 4", "0", "40.0 s", "20.0 s or more", *["1 min 20 s"] * 3]
    assert lines["pro"][:4] == ["1 of 2", "1", "30.0 s", "30.0 s or more"]
    assert lines["pro"][4:-1] == ["not reached"] * 3
    assert lines['"1"'][:-1] == ["0 of 1", "1", *["not reached"] * 4]
    (footer,) = [line for line in out.splitlines() if line.startswith("as of ")]
    assert footer == (
        "as of 2026-11-24 12:09:51 UTC, over 9 episodes: 4 are still open, and counted as lasting longer "
        "than so far"
    )
    assert "not reached: too few episodes have ended yet" in out


def test_curves_share_a_time_axis(program: Program, recording: Recording) -> None:
    """The axis ends at 80 s: `lite` drops in four equal steps, and `pro` is unknown after 61 s."""
    lines = rows(program.ok("completion", "--group-by", "metadata.processor"))
    lite, pro = lines["lite"][-1], lines["pro"][-1]
    width = len(pro)
    assert [lite.count(block) for block in "█▆▄▂"] == [pytest.approx(width / 4, abs=1)] * 4
    assert pro.rstrip("·") == pro[0] * pro.count("█") + "▄" * pro.count("▄")
    assert pro.count("█") == pytest.approx(width * 30 / 80, abs=1)
    assert pro.count("·") == pytest.approx(width * 19 / 80, abs=1)
    assert set(lines["no processor"][-1]) == {"█", "·"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("width", WIDTHS)
def test_numbers_and_curves_are_shown_at_every_width(
    program: Program, recording: Recording, width: int
) -> None:
    out = shown(program, width, "--group-by", "metadata.processor")
    assert [line for line in out.splitlines() if cell_len(line.rstrip()) > width] == []
    assert "…" not in out
    for words in ("4 of 4", "1 of 2", "20.0 s or more", "not reached:", "still open after"):
        assert words in unwrapped(out)
    curves = [line for line in out.splitlines() if len(re.findall(f"[{BLOCKS}·]", line)) >= 12]
    assert len(curves) == 5
    starts = {re.search(f"[{BLOCKS}]", line).start() for line in curves}  # type: ignore[union-attr]
    assert len(starts) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_single_cohort_has_a_larger_plot(program: Program, recording: Recording, width: int) -> None:
    out = shown(program, width, "--metadata", "processor=lite")
    assert [line for line in out.splitlines() if cell_len(line.rstrip()) > width] == []
    heights = [line.count("█") for line in out.splitlines() if re.match(r"[\d ]{4}% ┤| {6}│", line)]
    assert len(heights) == 8
    assert heights == sorted(heights)
    assert [heights[number] for number in (1, 3, 5, 7)] == [
        pytest.approx(share * heights[-1], abs=1) for share in (1 / 4, 2 / 4, 3 / 4, 1)
    ]
    assert re.search(r"^ +0 +40\.0 s +1 min 20 s$", out, re.MULTILINE)
    assert "over 4 episodes" in out
    assert "still open, and counted" not in out


def test_options_select_episodes(program: Program, recording: Recording) -> None:
    assert "4 of 4" in program.ok("completion", "--metadata", "processor=lite", "--since", "created")
    assert "0 of 2" in program.ok("completion", "--metadata", "processor=1")
    assert "1 of 1" in program.ok("completion", "--to", "2026-11-24T12:01:40Z")
    assert "no such episodes" in program.ok("completion", "--enrolled", "prospective")
    since = program.ok("completion", "--since", "created")
    assert "groups with an unknown creation time are left out" in since


def test_an_empty_result_is_explained(program: Program, engine: Engine) -> None:
    assert "no episodes yet; watch a group with: recorder watch ID" in program.ok("completion")
    assert json.loads(program.ok("completion", "--group-by", "metadata.x", "--json"))["items"] == []
    add_episode(Recording(engine), "one", 0, None, **metadata_of("lite"))
    result = program.run("completion", "--group-by", "metadata.processors")
    assert result.out == "no group has processors in its metadata\n"
    assert result.err == "did you mean processor?\n"
    hidden = program.run("completion", "--group-by", "metadata.[/b]\x1b[2J", "--metadata", "processor=lite")
    assert hidden.out == "no such group has [/b]\\x1b[2J in its metadata\n"
    assert program.ok("completion", "--metadata", "processor=pro") == "no such episodes\n"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("width", WIDTHS)
def test_upstream_text_cannot_control_the_terminal(program: Program, engine: Engine, width: int) -> None:
    recording = Recording(engine)
    key = f"key {EVIL}"
    add_episode(recording, "one", 0, 20, metadata={key: f"value {EVIL}\x00"})
    add_episode(recording, "two", 100, 20, metadata={key: "日本 " * 40})
    out = shown(program, width, "--group-by", f"metadata.{key}")
    assert control_characters(out) == []
    assert [line for line in out.splitlines() if cell_len(line.rstrip()) > width] == []
    whole = "".join(out.split())
    assert "\\x1b[2J" in whole or width == 80
    assert "1of1" in whole


USAGE = [
    (["one", "--group-by", "metadata.x"], ["--group-by", "ID"]),
    (["one", "--metadata", "a=b", "--since", "created"], ["--metadata", "--since", "ID"]),
    (["one", "--from", "2026-11-24T12:00:00Z", "--json"], ["--from", "ID"]),
    (["one", "two"], ["two"]),
    (["--group-by", "outcome"], ["--group-by", "faster than it is"]),
    (["--group-by", "processor"], ["--group-by", "metadata.processor"]),
    (["--since", "start"], ["--since", "created"]),
    (["--enrolled", "late"], ["--enrolled", "prospective"]),
    (["--from", "noon"], ["--from", "RFC 3339"]),
    (["--from", "2026-11-24T12:00:00Z", "--to", "2026-11-24T11:00:00Z"], ["--to", "before"]),
    (["--metadata", "x"], ["--metadata", "'x'", "KEY=VALUE"]),
    (["--metadata", "=x"], ["--metadata", "KEY=VALUE"]),
    (["--metadata", "x\x1b[2J"], ["--metadata", "KEY=VALUE"]),
    (["--metadata", "a=1", "--metadata", "a=2"], ["--metadata", "'a'", "once"]),
    (["--group-by", "outcome", "--since", "x", "--to", "y"], ["--group-by", "--since", "--to"]),
    (["--limit", "3"], ["--limit"]),
]


@pytest.mark.parametrize(("arguments", "words"), USAGE)
def test_wrong_usage_is_one_line(bare: Program, arguments: list[str], words: list[str]) -> None:
    for more in ([], ["--json"]):
        line = bare.run("completion", *arguments, *more).wrong_usage()
        assert [word for word in words if word not in line] == []
        assert line.isprintable()


def test_too_many_values_are_refused(
    recording: Recording, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECORDER_DATABASE_URL", database_url)
    monkeypatch.setitem(durations_of.__kwdefaults__, "most_cohorts", 3)
    for options in ([], ["--json"]):
        with pytest.raises(click.UsageError, match=r"--group-by has more than 1,000 values; .* --metadata"):
            recorder.main(["completion", "--group-by", "metadata.processor", *options], standalone_mode=False)
