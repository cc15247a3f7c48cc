"""`recorder completion` without a group: a line a cohort, the curves, and what the figures rest on."""

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
from tests.support.terminal import EVIL, WIDTHS, flowing, shown, steering

BLOCKS = "▁▂▃▄▅▆▇█"


def work(recording: Recording, name: str, at: float, lasting: float | None, **members: Any) -> None:
    """An episode that begins with its group at `at`, and lasts so long; without that on, seen for 61 s."""
    members = {"created_at": moment(at), **members}
    recording.watch(name, at=at)
    recording.see(name, at + 1, active(running=1), **members)
    if lasting is None:
        recording.see(name, at + 31, active(running=1), **members)
        recording.see(name, at + 61, active(running=1), **members)
    else:
        end = {**settled(completed=1), "modified_at": moment(at + lasting)}
        recording.see(name, at + lasting + 1, end, **members)


def moment(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"2026-11-24T12:{minutes:02.0f}:{rest:09.6f}Z"


def of(processor: Any) -> dict[str, Any]:
    return {"metadata": {"processor": processor}}


@pytest.fixture
def recording(engine: Engine) -> Recording:
    """Work of 20, 40, 60 and 80 s on `lite`, of 30 s and some that goes on on `pro`, more on 1 and "1"."""
    recording = Recording(engine)
    for number, lasting in enumerate((20, 40, 60, 80)):
        work(recording, f"lite-{number}", 100 * number, lasting, **of("lite"))
    work(recording, "pro-1", 400, 30, **of("pro"))
    work(recording, "pro-2", 450, None, **of("pro"))
    work(recording, "number", 510, None, **of(1))
    work(recording, "text", 520, None, **of("1"))
    work(recording, "other", 530, None)
    return recording


def rows(out: str) -> dict[str, list[str]]:
    """The cells of a table's lines by the first of them; those that show nothing are left out."""
    lines = out.splitlines()
    rule = next(number for number, line in enumerate(lines) if line.startswith("──"))
    parted = [re.split(" {2,}", line.strip()) for line in lines[rule + 1 :] if re.search(r" of \d+ ", line)]
    return {cells[0]: cells[1:] for cells in parted}


def test_a_line_a_cohort(program: Program, recording: Recording) -> None:
    out = program.ok("completion", "--group-by", "metadata.processor")
    lines = rows(out)
    assert list(lines) == ['"1"', "lite", "pro", "1", "no processor"]
    assert lines["lite"][:-1] == ["4 of 4", "0", "40.0 s", "20.0 s or more", *["1 min 20 s"] * 3]
    assert lines["pro"][:4] == ["1 of 2", "1", "30.0 s", "30.0 s or more"]
    assert lines["pro"][4:-1] == ["not reached"] * 3
    assert lines['"1"'][:-1] == ["0 of 1", "1", *["not reached"] * 4]
    (footing,) = [line for line in out.splitlines() if line.startswith("as of ")]
    assert footing == (
        "as of 2026-11-24 12:09:51 UTC, over 9 episodes: 4 are still open, and counted as lasting longer "
        "than so far"
    )
    assert "not reached: too few episodes have ended yet" in out


def test_curves_share_a_time_axis(program: Program, recording: Recording) -> None:
    """The axis ends at 80 s: `lite` sinks in four equal steps, and of `pro` nothing was seen behind 61 s."""
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
def test_every_width_has_the_figures_and_the_curves(
    program: Program, recording: Recording, width: int
) -> None:
    out = shown(program, width, "--group-by", "metadata.processor")
    assert [line for line in out.splitlines() if cell_len(line.rstrip()) > width] == []
    assert "…" not in out
    for words in ("4 of 4", "1 of 2", "20.0 s or more", "not reached:", "still open after"):
        assert words in flowing(out)
    curves = [line for line in out.splitlines() if len(re.findall(f"[{BLOCKS}·]", line)) >= 12]
    assert len(curves) == 5
    starts = {re.search(f"[{BLOCKS}]", line).start() for line in curves}  # type: ignore[union-attr]
    assert len(starts) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_single_cohort_has_a_larger_picture(program: Program, recording: Recording, width: int) -> None:
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


def test_options_select(program: Program, recording: Recording) -> None:
    assert "4 of 4" in program.ok("completion", "--metadata", "processor=lite", "--since", "created")
    assert "0 of 2" in program.ok("completion", "--metadata", "processor=1")
    assert "1 of 1" in program.ok("completion", "--to", "2026-11-24T12:01:40Z")
    assert "no such episodes" in program.ok("completion", "--enrolled", "prospective")
    since = program.ok("completion", "--since", "created")
    assert "groups with an unknown creation time are left out" in since


def test_where_there_is_nothing_it_says_so(program: Program, engine: Engine) -> None:
    assert "no episodes yet; watch a group with: recorder watch ID" in program.ok("completion")
    assert json.loads(program.ok("completion", "--group-by", "metadata.x", "--json"))["items"] == []
    work(Recording(engine), "one", 0, None, **of("lite"))
    out = program.ok("completion", "--group-by", "metadata.nothing")
    assert out == "no group has nothing in its metadata\n"
    hidden = program.ok("completion", "--group-by", "metadata.[/b]\x1b[2J", "--metadata", "processor=lite")
    assert hidden == "no such group has [/b]\\x1b[2J in its metadata\n"
    assert program.ok("completion", "--metadata", "processor=pro") == "no such episodes\n"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("width", WIDTHS)
def test_what_an_upstream_said_steers_nothing(program: Program, engine: Engine, width: int) -> None:
    recording = Recording(engine)
    key = f"key {EVIL}"
    work(recording, "one", 0, 20, metadata={key: f"value {EVIL}\x00"})
    work(recording, "two", 100, 20, metadata={key: "日本 " * 40})
    out = shown(program, width, "--group-by", f"metadata.{key}")
    assert steering(out) == []
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


def test_too_many_values_are_refused_in_words(
    recording: Recording, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECORDER_DATABASE_URL", database_url)
    monkeypatch.setitem(durations_of.__kwdefaults__, "most_cohorts", 3)
    for options in ([], ["--json"]):
        with pytest.raises(click.UsageError, match=r"--group-by has more than 1,000 values; .* --metadata"):
            recorder.main(["completion", "--group-by", "metadata.processor", *options], standalone_mode=False)
