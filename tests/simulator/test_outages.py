"""Parsing and looking up outages, and the settings of a simulator."""

from __future__ import annotations

import pytest

from recorder.simulator import Fault, Outage, SimulatorSettings, parse_outage
from recorder.simulator.outages import outage_at


@pytest.mark.parametrize(
    ("text", "outage"),
    [
        ("20-26:503", Outage(20, 26, Fault.REFUSE)),
        ("20-26:refuse", Outage(20, 26, Fault.REFUSE)),
        (" 0.5-1.25:429 ", Outage(0.5, 1.25, Fault.RATE_LIMIT)),
        ("0-1:hang", Outage(0, 1, Fault.HANG)),
        ("0-1:close", Outage(0, 1, Fault.CLOSE)),
        ("3-4:502", Outage(3, 4, Fault.BAD_GATEWAY)),
    ],
)
def test_an_outage_is_parsed_from_text(text: str, outage: Outage) -> None:
    assert parse_outage(text) == outage


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "START-END:FAULT"),
        ("20:503", "START-END:FAULT"),
        ("-5-6:503", "START-END:FAULT"),
        ("nan-6:503", "START-END:FAULT"),
        ("20-26:503,30-40:503", "START-END:FAULT"),
        ("26-20:503", "must end after it starts"),
        ("20-20:503", "must end after it starts"),
        ("20-26:418", "'418'; expected one of 401, .*hang"),
        ("20-26:", "START-END:FAULT"),
    ],
)
def test_an_invalid_outage_is_rejected_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_outage(text)


def test_an_outage_includes_its_start_but_not_its_end() -> None:
    first, second = Outage(10, 20, Fault.HANG), Outage(15, 30, Fault.CLOSE)
    found = [outage_at((first, second), seconds) for seconds in (9.9, 10, 19.9, 20, 30)]
    assert found == [None, first, first, second, None]


@pytest.mark.parametrize(
    "settings",
    [
        {"port": 65536},
        {"port": -1},
        {"speed": 0.0},
        {"speed": float("inf")},
        {"speed": float("nan")},
        {"api_key": ""},
    ],
)
def test_invalid_settings_are_rejected(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must"):
        SimulatorSettings(**settings)  # type: ignore[arg-type]


def test_the_repr_of_settings_hides_the_key() -> None:
    assert "secret" not in repr(SimulatorSettings(api_key="secret"))
