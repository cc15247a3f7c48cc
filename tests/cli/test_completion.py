"""`recorder completion`: the API's responses as JSON, and readable tables at any width."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from rich.cells import cell_len
from sqlalchemy import Engine

from api.app import create_app
from recorder.cli.output.episode_table import eta_text
from recorder.store.engine import check_url, open_engine
from tests.support.databases import ON_SQLITE
from tests.support.program import Program
from tests.support.recording import Recording, active, settled
from tests.support.terminal import EVIL, GROUP, WIDTHS, control_characters, shown, unwrapped

CREATED = "2026-11-24T11:50:00Z"
EMPTY = {"num_task_runs": 0, "task_run_status_counts": {}}


def _record(engine: Engine) -> None:
    """Groups in each state that an episode can be in, of processors `lite`, `core` and none."""
    recording = Recording(engine)
    lite, core = {"metadata": {"processor": "lite", "a": "b=c"}}, {"metadata": {"processor": "core"}}
    recording.watch("twice")
    recording.see("twice", 0.25, EMPTY, **lite)
    recording.see("twice", 10.25, active(running=3), **lite)
    for seconds in (20.25, 30.25, 40.25, 50.25):
        recording.fail("twice", seconds)
    end = {**settled(completed=2, failed=1), "modified_at": "2026-11-24T12:01:01.5Z"}
    recording.see("twice", 62.25, end, **lite)
    recording.see("twice", 72.25, active(completed=2, failed=1, running=4), **lite)
    recording.see("twice", 82.25, active(completed=4, failed=1, running=2), **lite)
    recording.watch("blocked", at=83)
    recording.see("blocked", 84, settled(completed=1, action_required=2), created_at=CREATED, **core)
    recording.watch("unknown", at=85)
    recording.see("unknown", 86, {**active(running=1), "modified_at": None})
    recording.watch("done", at=87)
    recording.see("done", 88, settled(cancelled=2), created_at=CREATED, **core)
    recording.watch("left", at=89)
    recording.see("left", 90, active(running=1), **lite)
    recording.pause("left", at=91)
    recording.watch("idle", at=92)
    recording.see("idle", 93, EMPTY)
    recording.watch("never", at=94)


QUERIES: list[tuple[list[str], str, dict[str, str]]] = [
    (["blocked"], "/groups/blocked/completion", {}),
    (["twice"], "/groups/twice/completion", {}),
    (["never"], "/groups/never/completion", {}),
    ([], "/completion", {}),
    (["--group-by", "metadata.processor"], "/completion", {"group_by": "metadata.processor"}),
    (["--group-by", "metadata[nothing]"], "/completion", {"group_by": "metadata[nothing]"}),
    (["--since", "created"], "/completion", {"since": "created"}),
    (["--enrolled", "prospective"], "/completion", {"enrolled": "prospective"}),
    (
        ["--from", "2026-11-24T13:00:06+01:00", "--to", "2026-11-24T12:01:25Z"],
        "/completion",
        {"from": "2026-11-24T13:00:06+01:00", "to": "2026-11-24T12:01:25Z"},
    ),
    (
        ["--metadata", "processor=lite", "--metadata", "a=b=c"],
        "/completion",
        {"metadata.processor": "lite", "metadata.a": "b=c"},
    ),
    (["--metadata", "processor=core"], "/completion", {"metadata.processor": "core"}),
]


@pytest.mark.ledger(fill=_record)
def test_json_equals_the_api_response(program: Program, database_url: str) -> None:
    engine = open_engine(check_url(database_url), read_only=True)
    client = create_app(engine).test_client()
    for arguments, path, query in QUERIES:
        with client.get(f"/api/v1{path}", query_string=query) as response:
            assert response.status_code == 200
            assert program.ok("completion", *arguments, "--json") == response.get_data(as_text=True) + "\n"
    engine.dispose()


def test_the_cohort_key_applies(program: Program, engine: Engine) -> None:
    """Twelve groups took a minute each, and one has been active for ten seconds."""
    recording = Recording(engine)
    for number in range(12):
        group, at = f"pro-{number}", 100 * number
        recording.watch(group, at)
        recording.see(group, at + 1, active(running=1), metadata={"processor": "pro"})
        recording.see(group, at + 60, settled(completed=1), metadata={"processor": "pro"})
    recording.watch("lite", 2000)
    recording.see("lite", 2001, EMPTY, metadata={"processor": "lite"})
    recording.see("lite", 2011, active(running=1), metadata={"processor": "lite"})
    one_cohort = program.ok("completion", "lite")
    assert re.search(r"^done between 2026-11-24 12:.* UTC \(similar groups\)$", one_cohort, re.MULTILINE)
    by_processor = program.using(RECORDER_COHORT_KEY="processor")
    assert "no estimate available: fewer than 10 runs" in by_processor.ok("completion", "lite")
    bases = [
        json.loads(configured.ok("completion", "lite", "--json"))["eta"]["basis"]
        for configured in (program, by_processor)
    ]
    assert bases == ["cohort", None]


@ON_SQLITE
@pytest.mark.ledger(fill=_record)
def test_episodes_as_a_table(program: Program) -> None:
    out = program.ok("completion", "twice")
    assert out.splitlines()[0] == "twice: active"
    assert [re.split(" {2,}", line.strip()) for line in out.splitlines()[3:7]] == [
        [
            "1",
            "2026-11-24 12:00:05",
            "12:01:01",
            "56.4 s",
            "mixed",
            "2 completed",
            "51.2 s",
            "2",
        ],
        [
            "midpoint, within 12:00:00–12:00:10",
            "from modified_at, within 12:00:10–12:01:02",
            "0.0 s – 1 min 2 s",
            "1 failed of 3",
        ],
        [
            "2",
            "2026-11-24 12:01:07",
            "running for at least 15.1 s",
            "15.1 s so far",
            "open",
            "4 completed",
            "0.0 s",
            "2",
        ],
        [
            "midpoint, within 12:01:02–12:01:12",
            "last seen 12:01:22",
            "10.0 s or more",
            "1 failed of 7",
        ],
    ]
    assert "no estimate available: fewer than 10 runs" in out


@ON_SQLITE
@pytest.mark.ledger(fill=_record)
def test_time_per_phase_is_shown_with_proportional_bars(program: Program) -> None:
    out = program.ok("completion", "twice")
    bars = {
        name: (words, len(blocks))
        for name, words, blocks in re.findall(r"^(\w+) +([\d.]+ s) ([█▏▎▍▌▋▊▉]*)", out, re.MULTILINE)
    }
    assert {name: words for name, (words, _) in bars.items()} == {
        "active": "10.0 s",
        "empty": "10.0 s",
        "settled": "10.0 s",
    }
    assert len({length for _, length in bars.values()}) == 1
    assert re.search(r"running +40\.0 s", out)


@pytest.mark.ledger(fill=_record)
@ON_SQLITE
@pytest.mark.parametrize("width", WIDTHS)
def test_edge_cases_at_every_width(program: Program, width: int) -> None:
    blocked = unwrapped(shown(program, width, "blocked"))
    for words in ("open for at least 11 min 24 s", "now blocked"):
        assert words in blocked
    unknown = unwrapped(shown(program, width, "unknown"))
    for words in ("first sight", "unknown start, not after 12:01:26", "running for at least 0.0 s"):
        assert words in unknown
    done = unwrapped(shown(program, width, "done"))
    for words in ("from created_at", "within 11:50:00–12:01:28", "2 cancelled"):
        assert words in done
    left = unwrapped(shown(program, width, "left"))
    assert "left: active when last seen, paused" in left
    assert "open for at least 1 min 31 s" in left
    assert "now paused" in left
    idle = unwrapped(shown(program, width, "idle"))
    assert "no episodes: no work has been seen yet" in idle
    assert "no estimate" not in idle
    assert "not seen" in unwrapped(shown(program, width, "never"))


@pytest.mark.ledger(fill=_record)
@ON_SQLITE
@pytest.mark.parametrize("width", WIDTHS)
def test_lines_fit_the_terminal_and_nothing_is_cut(program: Program, width: int) -> None:
    commands = [[name] for name in ("twice", "blocked", "unknown", "done", "left", "idle", "never")]
    commands += [[], ["--group-by", "metadata.processor"], ["--since", "created"]]
    for arguments in commands:
        out = shown(program, width, *arguments)
        assert [line for line in out.splitlines() if cell_len(line.rstrip()) > width] == []
        assert "…" not in out


@pytest.mark.ledger(fill=_record)
@ON_SQLITE
def test_a_tiny_terminal_is_not_an_error(program: Program) -> None:
    for arguments in (["twice"], [], ["--group-by", "metadata.processor"]):
        assert shown(program, 8, *arguments)


@ON_SQLITE
def test_an_id_cannot_control_the_terminal(program: Program, engine: Engine) -> None:
    recording = Recording(engine)
    recording.watch(GROUP)
    recording.see(GROUP, 1, {**active(running=1), "status_message": EVIL}, metadata={EVIL: EVIL})
    out = program.ok("completion", GROUP)
    assert out.startswith(f"{GROUP}: active\n")
    assert control_characters(out) == []


@ON_SQLITE
def test_an_end_without_a_lower_bound_is_marked(program: Program, engine: Engine) -> None:
    recording = Recording(engine)
    recording.watch("done")
    recording.see("done", 10, {**settled(completed=1), "modified_at": None})
    (row, more) = program.ok("completion", "done").splitlines()[3:5]
    assert re.split(" {2,}", row.strip())[1:4] == ["2026-11-24 12:00:10", "12:00:10", "0.0 s"]
    assert re.split(" {2,}", more.strip())[:3] == [
        "first sight, unknown start, not after 12:00:10",
        "first sight, not after 12:00:10",
        "bounds unknown",
    ]


@pytest.mark.parametrize(
    ("eta", "words"),
    [
        (
            {
                "p10": "2026-11-24T12:20:10.900000Z",
                "p50": "2026-11-24T12:24:30.000000Z",
                "p90": "2026-11-24T12:31:00.000000Z",
                "basis": "pace",
                "reason": None,
            },
            "done between 2026-11-24 12:20:10 and 12:31:00, likely by 12:24:30 UTC (own pace)",
        ),
        (
            {
                "p10": "2026-11-24T23:50:00.000000Z",
                "p50": "2026-11-24T23:59:59.000000Z",
                "p90": "2026-11-25T00:10:00.000000Z",
                "basis": "cohort",
                "reason": None,
            },
            "done between 2026-11-24 23:50:00 and 2026-11-25 00:10:00, likely by 23:59:59 UTC "
            "(similar groups)",
        ),
        (
            {"p10": None, "p50": None, "p90": None, "basis": None, "reason": "blocked"},
            "no estimate available: blocked",
        ),
    ],
)
def test_eta_text(eta: dict[str, Any], words: str) -> None:
    assert eta_text(eta) == words
