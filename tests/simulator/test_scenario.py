"""Parsing scenarios, and the requests that each scene affects."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from recorder.cli.main import recorder
from recorder.simulator import SCENE_KINDS, Fault, Outage, ScenarioError, SimulatorSettings, parse_scenario
from tests.simulator.stage import EXAMPLE, SCENES, group_of
from tests.support.program import wait_until
from tests.support.simulator import Connect, ManualClock, Start, simulating


def client_with(
    start: Start, connect: Connect, clock: ManualClock | None, text: str, **settings: Any
) -> httpx.Client:
    return connect(start(clock, scenario=parse_scenario(text.encode()), **settings))


def status_of(client: httpx.Client, group: str) -> int:
    return client.get(f"/v1/tasks/groups/{group}").status_code


def requests_in(log: Path) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, log.read_text("utf-8").splitlines()) if line["method"] == "GET"]


def test_the_example_uses_every_kind_of_scene() -> None:
    assert {scene.what for scene in SCENES} == set(SCENE_KINDS)


def test_a_scene_is_timed_from_the_start_of_the_simulator(
    start: Start, connect: Connect, clock: ManualClock
) -> None:
    client = client_with(start, connect, clock, '[[scenes]]\nwhat = "refuse"\nfrom = 2\nto = 3.5')
    group = group_of(client)
    statuses = []
    for seconds in (1.9, 0.1, 1.4, 0.1):
        clock.advance(seconds)
        statuses.append(status_of(client, group))
    assert statuses == [200, 503, 503, 200]


def test_a_scene_can_be_timed_from_the_creation_of_the_group(
    start: Start, connect: Connect, clock: ManualClock
) -> None:
    text = '[[scenes]]\nwhat = "refuse"\nsince = "creation"\nfrom = 1\nto = 2'
    client = client_with(start, connect, clock, text)
    clock.advance(1.5)
    group = group_of(client)
    statuses = []
    for seconds in (0, 1, 1):
        clock.advance(seconds)
        statuses.append(status_of(client, group))
    assert statuses == [200, 503, 200]


@pytest.mark.parametrize(
    ("selection", "affected"),
    [
        ("", [1, 2, 3, 4]),
        ('groups = "all"', [1, 2, 3, 4]),
        ("groups = 2", [2]),
        ("groups = [1, 3, 9]", [1, 3]),
        ("groups = []", []),
        ("label = {team = 1}", [1]),
        ("label = {team = true}", [2]),
        ('label = {team = "1"}', [3]),
        ("label = {ok = false}", [1, 3]),
        ('label = {team = "1", ok = false}', [3]),
        ("groups = [1, 2]\nlabel = {ok = false}", [1]),
    ],
)
def test_groups_are_selected_by_number_and_label(
    start: Start, connect: Connect, clock: ManualClock, selection: str, affected: list[int]
) -> None:
    client = client_with(start, connect, clock, f'[[scenes]]\nwhat = "refuse"\n{selection}')
    metadata = [{"team": 1, "ok": False}, {"team": True}, {"team": "1", "ok": False}, None]
    groups = [group_of(client, each) for each in metadata]
    numbers = [number for number, group in enumerate(groups, 1) if status_of(client, group) == 503]
    assert numbers == affected
    assert status_of(client, "tgrp_unknown") == 404


def test_the_first_fault_wins_and_excludes_alterations(
    start: Start, connect: Connect, clock: ManualClock, tmp_path: Path
) -> None:
    names = ("unknown_field", "refuse", "hang", "modified_null")
    text = "".join(f'[[scenes]]\nwhat = "{name}"\n' for name in names)
    client = client_with(start, connect, clock, text, log_path=tmp_path / "log")
    assert status_of(client, group_of(client)) == 503
    line = requests_in(tmp_path / "log")[-1]
    assert (line["fault"], line["scenes"]) == ("refuse", [{"scene": 2, "what": "refuse"}])


def test_an_outage_takes_precedence_over_all_scenes(
    start: Start, connect: Connect, clock: ManualClock, tmp_path: Path
) -> None:
    outages = (Outage(0, 1, Fault.SERVER_ERROR),)
    client = client_with(
        start, connect, clock, '[[scenes]]\nwhat = "gone"', outages=outages, log_path=tmp_path / "log"
    )
    group = group_of(client)
    assert status_of(client, group) == 500
    clock.advance(1)
    assert status_of(client, group) == 410
    logged = [(line["fault"], line["scenes"]) for line in requests_in(tmp_path / "log")]
    assert logged == [("server_error", []), ("gone", [{"scene": 1, "what": "gone"}])]


def test_a_share_is_drawn_per_request_and_reproducible_by_seed(connect: Connect, clock: ManualClock) -> None:
    scenes = parse_scenario(b'[[scenes]]\nwhat = "refuse"\nshare = 0.3')
    statuses = []
    for seed in (1, 1, 2):
        with simulating(SimulatorSettings(seed=seed, scenario=scenes), clock) as url:
            client = connect(url)
            groups = [group_of(client), group_of(client)]
            statuses.append([status_of(client, group) for _ in range(100) for group in groups])
    assert statuses[0] == statuses[1] != statuses[2]
    assert 30 <= statuses[0].count(503) <= 90
    assert statuses[0][::2] != statuses[0][1::2]


def test_a_slow_response_is_delayed_by_the_sum_of_its_scenes(
    start: Start, connect: Connect, tmp_path: Path
) -> None:
    text = '[[scenes]]\nwhat = "slow"\nseconds = 0.2\n' * 2 + '[[scenes]]\nwhat = "unknown_field"\n'
    client = client_with(start, connect, None, text, log_path=tmp_path / "log")
    before = time.monotonic()
    response = client.get(f"/v1/tasks/groups/{group_of(client)}")
    assert time.monotonic() - before >= 0.4
    assert "billing" in response.json()
    line = requests_in(tmp_path / "log")[-1]
    assert [scene["what"] for scene in line["scenes"]] == ["slow", "slow", "unknown_field"]
    assert line["answered_at"] > line["at"]


def test_a_client_that_gives_up_on_a_slow_response_is_logged(
    start: Start, connect: Connect, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    client = client_with(start, connect, None, '[[scenes]]\nwhat = "slow"\nseconds = 600', log_path=log)
    group = group_of(client)
    with pytest.raises(httpx.ReadTimeout):
        client.get(f"/v1/tasks/groups/{group}", timeout=0.1)
    lines = wait_until(lambda: requests_in(log) or None, "a line")
    assert [(line["status"], line["fault"], line["answered_at"]) for line in lines] == [(None, None, None)]
    assert lines[0]["scenes"] == [{"scene": 1, "what": "slow"}]


SCENE = '[[scenes]]\nwhat = "hang"\n'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[[scenes]", r"^not TOML: "),
        (b"# \xff", r"^not TOML: "),
        ("scenes = 1", r"^`scenes` must be tables, each starting with the line \[\[scenes\]\]$"),
        ("scenes = [1]", r"^`scenes` must be tables"),
        ("scene = 1", r"^`scene` is unknown; only \[\[scenes\]\] tables are allowed$"),
        ("[[scenes]]", r"^scene 1: `what` is missing; `recorder simulate --list-scenes` prints the allowed"),
        ('[[scenes]]\nwhat = "hangs"', r"^scene 1: `what` is 'hangs' \(hang\?\); `recorder simulate"),
        ("[[scenes]]\nwhat = []", r"^scene 1: `what` is \[\]; `recorder simulate"),
        (SCENE * 2 + "from = -1", r"^scene 2 \(hang\): `from` must be a number of seconds from 0, not -1$"),
        (SCENE + "from = true", "`from` must be a number of seconds from 0, not True"),
        (SCENE + "from = nan", "`from` must be a number of seconds from 0, not nan"),
        (SCENE + "from = 3\nto = 3", r"`to` must be a number of seconds greater than `from` \(3\), not 3"),
        (SCENE + "groups = 0", r"`groups` must be a group number from 1, a list of them, or \"all\", not 0"),
        (SCENE + 'groups = ["a"]', r"`groups` must be .*, not \['a'\]"),
        (SCENE + "label = 1", "`label` must be a table of strings, numbers and booleans, not 1"),
        (SCENE + "label = {a = []}", "`label` must be a table of"),
        (SCENE + 'since = "dawn"', '`since` must be "start" or "creation", not \'dawn\''),
        (SCENE + "share = 1.5", "`share` must be a number from 0 to 1, not 1.5"),
        (
            SCENE + "bytes = 1",
            r"scene 1 \(hang\): `bytes` is unknown; the allowed members are what, groups, label, from, to",
        ),
        ('[[scenes]]\nwhat = "slow"\nseconds = "1"', "`seconds` must be a number from 0 to 3600, not '1'"),
        (
            '[[scenes]]\nwhat = "oversize"\nbytes = 1.5',
            "`bytes` must be a whole number from 1 to 268435456, not 1.5",
        ),
        (
            '[[scenes]]\nwhat = "slow"\nshares = 1',
            "`shares` is unknown; the allowed members are .*, share, seconds$",
        ),
        (
            '[[scenes]]\nwhat = "refuse"\nretry_after = "a\\nb"',
            r"`retry_after` must be .* ASCII .*, not 'a\\nb'",
        ),
        (
            '[[scenes]]\nwhat = "other_id"\nsays = ""',
            "`says` must be a non-empty string, not ''",
        ),
        (SCENE + f'share = "{"x" * 1000}"', r"not 'x{59}…$"),
    ],
)
def test_an_invalid_scenario_is_rejected_in_one_line(text: str | bytes, reason: str) -> None:
    with pytest.raises(ScenarioError, match=reason) as caught:
        parse_scenario(text if isinstance(text, bytes) else text.encode())
    assert "\n" not in str(caught.value)


def test_a_file_without_scenes_is_valid() -> None:
    assert parse_scenario(b"# nothing yet") == ()


def test_the_command_reports_the_file_and_the_mistake(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(SCENE + "share = 2")
    result = CliRunner().invoke(recorder, ["simulate", "--scenario", str(wrong)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{wrong}: scene 1 (hang): `share` must be a number from 0 to 1, not 2" in result.stderr


def test_the_command_reports_a_missing_file(tmp_path: Path) -> None:
    result = CliRunner().invoke(recorder, ["simulate", "--scenario", str(tmp_path / "none.toml")])
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{tmp_path / 'none.toml'}: No such file or directory" in result.stderr


def test_the_command_lists_the_kinds_of_scenes() -> None:
    result = CliRunner().invoke(recorder, ["simulate", "--list-scenes"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == list(SCENE_KINDS)
    assert all(kind.does in result.stdout for kind in SCENE_KINDS.values())


def test_the_command_plays_a_scenario_file(tmp_path: Path) -> None:
    arguments = ["simulate", "--port", "0", "--scenario", str(EXAMPLE)]
    with subprocess.Popen(
        [sys.executable, "-m", "recorder", *arguments], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found
            with httpx.Client(base_url=found[0], headers={"x-api-key": "any"}, trust_env=False) as client:
                assert status_of(client, group_of(client, {"plays": "gone"})) == 410
        finally:
            process.send_signal(signal.SIGTERM)
    assert process.returncode == 0
