"""The page on the simulator matches the simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pytest

from recorder.simulator import PROCESSOR_SECONDS, Fault, OutcomeMix, ScenarioError, parse_scenario
from recorder.simulator.alterations import ALTERATIONS
from recorder.simulator.faults import FAULTS
from recorder.simulator.outages import FAULT_STATUS
from recorder.simulator.request_log import LoggedRequest
from recorder.simulator.requests import MAX_RUNS_PER_REQUEST, OUTCOME_HEADER, SECONDS_HEADER
from recorder.simulator.runs import QUEUE_SECONDS, RunOutcome
from recorder.simulator.scene_kinds import DELAYS, SceneKind
from tests.support.pages import blocks, first_codes, page, plain, section, table

PAGE = "docs/reference/simulator.md"


def test_processors() -> None:
    described = {row[0].strip("`"): (float(row[1]), float(row[2])) for row in table(PAGE, "Lives of runs")}
    assert described == PROCESSOR_SECONDS


def test_probabilities() -> None:
    text = section(page(PAGE), "Lives of runs").replace("\n", " ")
    low, high = QUEUE_SECONDS
    mix = OutcomeMix()
    assert f"queued for {low:g} to {high:g} s" in text
    assert f"Of 100 runs {mix.failed * 100:g} fail and {mix.cancelled * 100:g} are cancelled" in text
    assert f"{mix.detour * 100:g} wait in `action_required`" in text
    assert mix.blocked == 0


def test_headers() -> None:
    text = section(page(PAGE), "Lives of runs")
    _, _, headers = text.partition("| Header |")
    assert f"| `{OUTCOME_HEADER}` |" in headers
    assert f"| `{SECONDS_HEADER}` |" in headers
    assert all(f"`{outcome}`" in headers for outcome in RunOutcome)


def test_runs_per_request() -> None:
    assert f"adds 1 to {MAX_RUNS_PER_REQUEST} runs" in page(PAGE)


def test_faults() -> None:
    described = [row[:2] for row in table(PAGE, "Outages")]
    assert described == [[f"`{fault}`", str(FAULT_STATUS.get(fault, "–"))] for fault in Fault]


def test_members_of_the_request_log() -> None:
    assert first_codes(table(PAGE, "The request log")) == [field.name for field in fields(LoggedRequest)]


def _described(heading: str) -> dict[str, tuple[str, str]]:
    return {plain(name): (does, parameters) for name, does, parameters in table(PAGE, heading)}


def _parameters(kind: SceneKind[Any]) -> str:
    return ", ".join(
        f"`{name}`: {each.allowed}" + ("" if each.default is None else f"; default {each.default}")
        for name, each in kind.parameters.items()
    )


@pytest.mark.parametrize(
    ("heading", "kinds"), [("Delays", DELAYS), ("Faults", FAULTS), ("Alterations", ALTERATIONS)]
)
def test_scene_kinds(heading: str, kinds: Mapping[str, SceneKind[Any]]) -> None:
    assert _described(heading) == {name: (kind.does, _parameters(kind)) for name, kind in kinds.items()}


def test_members_of_a_scene() -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(b'[[scenes]]\nwhat = "hang"\nunknown = 1')
    allowed = str(caught.value).partition("the allowed members are ")[2].split(", ")
    assert first_codes(table(PAGE, "Scenarios")) == allowed


def test_the_example_of_a_scene() -> None:
    [block] = [block for block in blocks(page(PAGE)) if block.language == "toml"]
    [scene] = parse_scenario(block.code.encode())
    assert scene.what == "rate_limit"
