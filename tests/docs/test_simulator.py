"""The page of the simulator, and the simulator."""

from __future__ import annotations

from dataclasses import fields

from recorder.simulator import PROCESSOR_SECONDS, Fault, OutcomeMix
from recorder.simulator.intake import MAX_RUNS_A_REQUEST, OUTCOME_HEADER, SECONDS_HEADER
from recorder.simulator.lives import QUEUE_SECONDS, Outcome
from recorder.simulator.log import Exchange
from recorder.simulator.outages import FAULT_STATUS
from tests.docs.pages import first_codes, page, section, table

PAGE = "docs/reference/simulator.md"


def test_processors() -> None:
    described = {row[0].strip("`"): (float(row[1]), float(row[2])) for row in table(PAGE, "Lives of runs")}
    assert described == PROCESSOR_SECONDS


def test_chances() -> None:
    text = section(page(PAGE), "Lives of runs").replace("\n", " ")
    low, high = QUEUE_SECONDS
    mix = OutcomeMix()
    assert f"queued for {low:g} to {high:g} s" in text
    assert f"Of 100 runs {mix.failed * 100:g} fail and {mix.cancelled * 100:g} are cancelled" in text
    assert f"{mix.detour * 100:g} wait in `action_required`" in text
    assert mix.blocked == 0


def test_steering() -> None:
    text = section(page(PAGE), "Lives of runs")
    _, _, headers = text.partition("| Header |")
    assert f"| `{OUTCOME_HEADER}` |" in headers
    assert f"| `{SECONDS_HEADER}` |" in headers
    assert all(f"`{outcome}`" in headers for outcome in Outcome)


def test_runs_a_request() -> None:
    assert f"adds 1 to {MAX_RUNS_A_REQUEST} runs" in page(PAGE)


def test_faults() -> None:
    described = [row[:2] for row in table(PAGE, "Outages")]
    assert described == [[f"`{fault}`", str(FAULT_STATUS.get(fault, "–"))] for fault in Fault]


def test_members_of_the_request_log() -> None:
    assert first_codes(table(PAGE, "The request log")) == [field.name for field in fields(Exchange)]
