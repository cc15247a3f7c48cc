"""Estimates for a rare cohort, on the command line."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import Engine

from recorder.store.durations import MOST_RECENT
from tests.support.episode_rows import KEY, add_completed
from tests.support.program import Program
from tests.support.recording import Recording, active


@pytest.fixture
def rare(engine: Engine, program: Program) -> Program:
    """The program with an active group of a rare cohort, and many newer groups of another."""
    recording = Recording(engine)
    recording.watch("tgrp_rare")
    recording.see("tgrp_rare", 1, active(running=1), metadata={KEY: "rare"})
    add_completed(engine, "tgrp_", "common", [(3600, 5)] * (MOST_RECENT + 1))
    return program.using(RECORDER_COHORT_KEY=KEY)


@pytest.mark.parametrize("old_episodes", [0, 20])
def test_a_group_of_a_rare_cohort_is_shown(engine: Engine, rare: Program, old_episodes: int) -> None:
    add_completed(engine, "tgrp_old_", "rare", [(-1000, 100)] * old_episodes)
    rare.ok("status", "tgrp_rare")
    (group,) = json.loads(rare.ok("groups", "--json"))["items"]
    eta = json.loads(rare.ok("completion", "tgrp_rare", "--json"))["eta"]
    assert group["eta"] == eta
    assert eta["basis"] == ("cohort" if old_episodes else None)
