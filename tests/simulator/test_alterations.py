"""Every alteration of the example scenario changes what it should and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from recorder.ledger.timestamps import parse_time
from recorder.simulator import parse_scenario
from recorder.simulator.alterations import ALTERATIONS
from tests.simulator.stage import PLAYS, SCENES, Stage, staged
from tests.support.simulator import ManualClock

Body = dict[str, Any]
MODIFIED = "2026-11-24T12:16:01.000000Z"
CREATED = "2026-11-24T12:16:00.000000Z"
ASTRAL = "\U0001f46a \U0001d400 \U00010330"


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, clock: ManualClock) -> Iterator[Stage]:
    with staged(SCENES, clock, tmp_path_factory.mktemp("stage") / "requests.ndjson") as stage:
        yield stage


def parse_exactly(text: str) -> Any:
    """Parse JSON, keeping numbers as the literals in the text."""
    return json.loads(
        text, parse_int=lambda digits: f"int {digits}", parse_float=lambda digits: f"float {digits}"
    )


def setting(path: str, value: Any) -> Callable[[Body], None]:
    """Return a change that sets the member at `path`, or removes it if `value` is ABSENT."""

    def change(body: Body) -> None:
        *parents, name = path.split("/")
        for parent in parents:
            body = body[parent]
        if value is ABSENT:
            del body[name]
        else:
            body[name] = value

    return change


def all_of(*changes: Callable[[Body], None]) -> Callable[[Body], None]:
    def change(body: Body) -> None:
        for each in changes:
            each(body)

    return change


ABSENT = object()
COUNTS = "status/task_run_status_counts"

CHANGES: dict[str, Callable[[Body], None]] = {
    "unknown_status": all_of(
        setting(f"{COUNTS}/hibernating", "int 1"), setting("status/num_task_runs", "int 6")
    ),
    "counts_absent": setting(COUNTS, ABSENT),
    "counts_null": setting(COUNTS, None),
    "count_absent": setting(f"{COUNTS}/running", ABSENT),
    "count_null": setting(f"{COUNTS}/running", None),
    "count_true": setting(f"{COUNTS}/running", True),
    "count_fraction": setting(f"{COUNTS}/running", "float 2.0"),
    "counts_zero": all_of(
        *(
            setting(f"{COUNTS}/{status}", "int 0")
            for status in ("queued", "action_required", "failed", "cancelling", "cancelled")
        )
    ),
    "counts_fall": all_of(setting(f"{COUNTS}/completed", ABSENT), setting(f"{COUNTS}/running", "int 5")),
    "counts_mismatch": setting("status/num_task_runs", "int 6"),
    "total_absent": setting("status/num_task_runs", ABSENT),
    "total_text": setting("status/num_task_runs", "5"),
    "active_contradicts": setting("status/is_active", False),
    "active_absent": setting("status/is_active", ABSENT),
    "modified_null": setting("status/modified_at", None),
    "modified_absent": setting("status/modified_at", ABSENT),
    "modified_regresses": setting("status/modified_at", "2026-11-24T11:16:01.000000Z"),
    "modified_ahead": setting("status/modified_at", "2026-11-24T13:16:01.000000Z"),
    "modified_offset": setting("status/modified_at", "2026-11-24T17:46:01.000000+05:30"),
    "modified_nanoseconds": setting("status/modified_at", "2026-11-24T12:16:01.000000789Z"),
    "modified_nonsense": setting("status/modified_at", "a while ago"),
    "created_null": setting("created_at", None),
    "created_absent": setting("created_at", ABSENT),
    "created_ahead": setting("created_at", "2026-11-24T13:16:00.000000Z"),
    "created_offset": setting("created_at", "2026-11-24T17:46:00.000000+05:30"),
    "created_nonsense": setting("created_at", "last week"),
    "unknown_field": setting("billing", {"credits": "int 12", "plan": None}),
    "unknown_status_field": setting("status/queue_position", "int 7"),
    "other_id": setting("taskgroup_id", "tgrp_of_somebody_else"),
    "metadata_changes": setting("metadata/revision", "int 5"),
    "metadata_null": setting("metadata", None),
    "metadata_absent": setting("metadata", ABSENT),
    "astral": all_of(setting(f"metadata/{ASTRAL}", ASTRAL), setting("status/status_message", ASTRAL)),
    "nul": all_of(
        setting("metadata/before\0after", "before\0after"), setting("status/status_message", "before\0after")
    ),
    "big_integer": all_of(
        setting("metadata/above", "int 9007199254740993"), setting("metadata/below", f"int -1{'0' * 30}")
    ),
    "huge_number": setting("metadata/huge", "float 1e400"),
    "long_decimal": setting("metadata/decimal", "float 0.10000000000000000000000000000001"),
}


def test_every_alteration_is_covered() -> None:
    assert (
        {*CHANGES, "nested"}
        == set(ALTERATIONS)
        == {scene.what for scene in PLAYS.values()} & set(ALTERATIONS)
    )


@pytest.mark.parametrize("plays", CHANGES)
def test_an_alteration_changes_only_what_it_should(stage: Stage, plays: str) -> None:
    expected = parse_exactly(stage.reference_text(plays))
    assert (expected["created_at"], expected["status"]["modified_at"]) == (CREATED, MODIFIED)
    CHANGES[plays](expected)
    response = stage.get(plays)
    assert (response.status_code, response.headers["content-type"].split(";")[0]) == (200, "application/json")
    assert parse_exactly(response.content.decode("utf-8")) == expected


def test_an_offset_keeps_the_instant(stage: Stage) -> None:
    body = stage.get("modified_offset").json()
    assert parse_time(body["status"]["modified_at"]) == parse_time(MODIFIED)


def test_nesting_is_as_deep_as_requested(stage: Stage) -> None:
    body = stage.get("nested").json()
    inner, levels = body["metadata"].pop("nested"), 3
    while inner:
        [inner] = inner
        levels += 1
    assert levels == 200
    assert body == json.loads(stage.reference_text("nested"))


@pytest.mark.parametrize("plays", [plays for plays, scene in PLAYS.items() if scene.what in ALTERATIONS])
def test_the_log_has_the_exact_text_and_the_scene(stage: Stage, plays: str) -> None:
    text = stage.get(plays).content.decode("utf-8")
    line = stage.last_line(plays)
    assert (line["body"], line["status"], line["fault"]) == (text, 200, None)
    assert line["scenes"] == [{"scene": PLAYS[plays].number, "what": PLAYS[plays].what}]


@pytest.mark.parametrize("plays", [*CHANGES, "nested"])
def test_a_group_without_runs_can_be_altered_too(stage: Stage, plays: str) -> None:
    unchanged = {"counts_fall", "count_absent", "modified_null"}
    path = f"/v1/tasks/groups/{stage.empty[plays]}"
    response, reference = stage.client.get(path), stage.reference.get(path)
    assert response.status_code == 200
    assert (parse_exactly(response.text) == parse_exactly(reference.text)) == (plays in unchanged)


def test_metadata_changes_repeatedly(tmp_path_factory: pytest.TempPathFactory) -> None:
    clock = ManualClock()
    with staged(SCENES, clock, tmp_path_factory.mktemp("stage") / "log") as stage:
        revisions = []
        for seconds in (0, 1.5, 0.5, 2):
            clock.advance(seconds)
            revisions.append(stage.get("metadata_changes").json()["metadata"]["revision"])
    assert revisions == [5, 5, 6, 7]


def test_alterations_combine_and_the_first_wins_on_the_same_member(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    names = ("unknown_field", "count_null", "counts_absent", "counts_mismatch", "total_text", "astral")
    text = "".join(f'[[scenes]]\nwhat = "{name}"\n' for name in names)
    scenes = parse_scenario(text.encode())
    with staged(scenes, ManualClock(), tmp_path_factory.mktemp("stage") / "log") as stage:
        expected = parse_exactly(stage.reference_text("slow"))
        for name in ("unknown_field", "count_null", "counts_mismatch", "astral"):
            CHANGES[name](expected)
        assert parse_exactly(stage.get("slow").text) == expected
        assert [scene["what"] for scene in stage.last_line("slow")["scenes"]] == list(names)
