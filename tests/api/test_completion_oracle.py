"""Completion and coverage of random groups against an oracle that knows only the lines of their exports."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from sqlalchemy import Engine

from recorder.audit.export_format import entry_line, open_line
from tests.support.api_client import Client
from tests.support.audit_ledgers import write
from tests.support.completion_oracle import expected_completion
from tests.support.working_groups import WorkingGroup, working_groups

_made = cache(lambda: working_groups(seed=15, groups=120))


def _worked(engine: Engine) -> None:
    write(engine, _made())


def _expected(group: WorkingGroup) -> dict[str, Any]:
    records = [json.loads(entry_line(entry))["record"] for entry in group.entries]
    last = json.loads(open_line(group.watch))["open"]
    return expected_completion(records, last if records[-1]["kind"] == "status" else None)


def _near(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _near(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_near(member) for member in value]
    return pytest.approx(value, abs=2e-6) if isinstance(value, float) else value


@pytest.mark.ledger(fill=_worked)
def test_completion_is_what_the_exported_entries_say(client: Client) -> None:
    episodes = 0
    for group in _made():
        path = f"/api/v1/groups/{group.watch.taskgroup_id}"
        said, expected = client.get(f"{path}/completion"), _expected(group)
        assert client.get(f"{path}/gaps")["coverage"] == _near(expected.pop("coverage")), path
        assert {name: said[name] for name in expected} == _near(expected), path
        episodes += len(said["episodes"])
    assert episodes > len(_made()) / 2
