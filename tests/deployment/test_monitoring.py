"""The alert rules, the Grafana dashboard and the systemd units fit the program."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, text

from api.app import create_app
from recorder.polling.self_server import SelfReport
from recorder.store.heartbeats import Heartbeat, beat
from recorder.store.transactions import reading, writing
from tests.support.commands import COMMANDS
from tests.support.pages import ROOT
from tests.support.recording import Recording, active, after, settled

DEPLOY = ROOT / "deploy"
RULES = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus/recorder.rules.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARD = json.loads((DEPLOY / "grafana/dashboard.json").read_text("utf-8"))
TARGETS = [(panel["title"], target) for panel in DASHBOARD["panels"] for target in panel["targets"]]
EXPRESSIONS = [
    *((rule["alert"], rule["expr"]) for rule in RULES),
    *((title, target["expr"]) for title, target in TARGETS if "expr" in target),
]
QUERIES = {title: target["rawSql"] for title, target in TARGETS if "rawSql" in target}
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
OF_PROMETHEUS = {"up"}
"""Metrics that Prometheus makes itself."""
MACROS = {"$__timeFrom()": after(0), "$__timeTo()": after(1000)}
"""What Grafana fills in, here with the window that the recording is in."""


def _alerts_of(test: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield the alerts that a test of the rules is about, and whether they are raised."""
    for case in test["alert_rule_test"]:
        yield case["alertname"], bool(case["exp_alerts"])


def test_every_alert_is_tested_raised_and_not_raised() -> None:
    tests = yaml.safe_load((DEPLOY / "prometheus/recorder.rules.test.yml").read_text("utf-8"))["tests"]
    tested = {found for test in tests for found in _alerts_of(test)}
    assert tested == {(rule["alert"], raised) for rule in RULES for raised in (True, False)}


def test_the_rules_do_what_their_tests_say() -> None:
    # Where it is not installed, the expressions are parsed all the same.
    if (promtool := shutil.which("promtool")) is not None:
        result = subprocess.run(
            [promtool, "test", "rules", "recorder.rules.test.yml"],
            cwd=DEPLOY / "prometheus",
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr


def _metrics_of(app: Flask) -> set[str]:
    """Return the names of all samples of `/metrics`."""
    families = text_string_to_metric_families(app.test_client().get("/metrics").get_data(as_text=True))
    return {sample.name for family in families for sample in family.samples}


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS)
def test_expressions_can_be_parsed(name: str, expression: str) -> None:
    # Raises ValueError if not.
    promql_parser.parse(expression)


def test_expressions_use_metrics_that_exist(engine: Engine) -> None:
    app = create_app(engine, now=lambda: after(2))
    counters = {"polls": 2, "failures": 1, "failures.timeout": 1}
    report = {"clock_offset_seconds": 0.1, "writing": {"failures": 0}}
    with writing(engine) as connection:
        beat(connection, Heartbeat("r1", "here", 1, after(0), after(1), counters, report))
    known = _metrics_of(app) | OF_PROMETHEUS | {metric.name for metric in SelfReport().collect()}
    for name, expression in EXPRESSIONS:
        used = set(re.findall(r"\b(?:recorder_[a-z_]+|up)\b(?!\"})", expression))
        assert used and used <= known, name


def _rows(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    for macro, at in MACROS.items():
        query = query.replace(macro, f"'{at.isoformat()}'")
    with reading(engine) as connection:
        return [tuple(row) for row in connection.execute(text(query.replace(":", "\\:")))]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_panels_show_what_was_recorded(engine: Engine) -> None:
    recording = Recording(engine)
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 1, active(running=3))
    recording.see("tgrp_1", 200, settled(completed=3))
    recording.watch("tgrp_2")
    recording.see("tgrp_2", 2, active(running=1))
    assert _rows(engine, QUERIES["Groups by phase"]) == [("active", 1), ("settled", 1)]
    finished = [row for row in _rows(engine, QUERIES["Finished runs"]) if row[1] == "tgrp_1"]
    assert [row[2] for row in finished] == [0, 3]
    ((cause, gaps, seconds, groups),) = _rows(engine, QUERIES["Not seen, by cause"])
    assert (cause, gaps, seconds, groups) == ("not_polled", 1, 199, 1)
    ((_, taskgroup_id, episode, outcome, *_),) = _rows(engine, QUERIES["Latest completions"])
    assert (taskgroup_id, episode, outcome) == ("tgrp_1", 1, "completed")
    ((taskgroup_id, *_),) = _rows(engine, QUERIES["Still at work"])
    assert taskgroup_id == "tgrp_2"
    ((start, end, cause, taskgroup_id),) = _rows(
        engine, DASHBOARD["annotations"]["list"][0]["target"]["rawSql"]
    )
    assert (start, end, cause, taskgroup_id) == (after(1), after(200), "not_polled", "tgrp_1")


def test_panels_do_not_overlap() -> None:
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_units_run_commands_of_the_program(unit: Path, tmp_path: Path) -> None:
    lines = re.findall(r"^ExecStart(?:Pre)?=/opt/recorder/bin/(.*)", unit.read_text("utf-8"), re.MULTILINE)
    assert lines and set(lines) <= set(COMMANDS)
    program = tmp_path / "recorder"
    program.symlink_to("/bin/true")
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text("utf-8").replace("/opt/recorder/bin/recorder", str(program)), "utf-8")
    # On systems without systemd nobody runs the units either.
    if (analyze := shutil.which("systemd-analyze")) is not None:
        result = subprocess.run(
            [analyze, "verify", "--man=no", copy], capture_output=True, text=True, check=False
        )
        assert (result.returncode, result.stderr) == (0, "")
        # Exits with 1 if the exposure is above the threshold, in tenths.
        secure = [analyze, "security", "--offline=true", "--threshold=20", "--no-pager", copy]
        result = subprocess.run(secure, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout
