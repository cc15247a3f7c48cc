"""The Kubernetes manifests fit the program, and their probes tell a healthy process from others."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
import yaml
from sqlalchemy import Engine

from api.app import create_app
from recorder.polling.self_server import STUCK_SECONDS, SelfReport, serving_report
from recorder.settings import Settings
from recorder.tokens import Scope, new_token
from tests.support.commands import COMMANDS
from tests.support.pages import ROOT, page
from tests.support.postgres import free_port
from tests.support.wsgi_server import serving

MANIFESTS: list[dict[str, Any]] = list(
    yaml.safe_load_all((ROOT / "deploy/kubernetes/recorder.yml").read_text("utf-8"))
)
PODS = {
    manifest["metadata"]["name"]: manifest["spec"]["template"]
    for manifest in MANIFESTS
    if "template" in manifest["spec"]
}
CONTAINERS = {name: pod["spec"]["containers"][0] for name, pod in PODS.items()}
SETTINGS = {str(field.alias) for field in Settings.model_fields.values()}


def probe(name: str, kind: str, address: str, replacement: str, **environment: str) -> int:
    """Run a probe's command here, with its address replaced; return its exit status."""
    python, *arguments = CONTAINERS[name][kind]["exec"]["command"]
    assert python == "python" and address in arguments[-1]
    arguments[-1] = arguments[-1].replace(address, replacement)
    return subprocess.run(
        [sys.executable, *arguments], check=False, env=environment, stderr=subprocess.DEVNULL
    ).returncode


def test_the_containers_run_commands_of_the_program() -> None:
    lines = [f"recorder {' '.join(one['args'])}" for one in CONTAINERS.values() if "args" in one]
    shell = CONTAINERS["recorder-upgrade"]["command"]
    assert shell[:2] == ["sh", "-c"]
    lines += shell[2].split(" && ")
    assert {" ".join(word for word in line.split() if word[0] != "-") for line in lines} <= set(COMMANDS)


def test_variables_are_settings_and_services_do_not_look_like_them() -> None:
    for container in CONTAINERS.values():
        names = {variable["name"] for variable in container["env"]}
        assert {name for name in names if name.startswith(("RECORDER_", "PARALLEL_"))} <= SETTINGS
    for service in (one["metadata"]["name"] for one in MANIFESTS if one["kind"] == "Service"):
        prefix = service.upper().replace("-", "_")
        assert not any(name.startswith(f"{prefix}_") for name in SETTINGS)


def test_secrets_are_made_by_the_commands_of_the_page() -> None:
    wanted = {
        (reference["name"], reference["key"])
        for container in CONTAINERS.values()
        for variable in container["env"]
        if (reference := variable.get("valueFrom", {}).get("secretKeyRef")) is not None
    }
    text = page("docs/deployment.md")
    made = {
        (name, key)
        for name, literals in re.findall(r"create secret generic (\S+) (.*)", text)
        for key in re.findall(r"--from-literal=(\w+)=", literals)
    }
    assert wanted == made


def test_selectors_and_ports_belong_together() -> None:
    labels = {name: pod.get("metadata", {}).get("labels") for name, pod in PODS.items()}
    for manifest in MANIFESTS:
        if manifest["kind"] == "Deployment":
            assert manifest["spec"]["selector"]["matchLabels"] == labels[manifest["metadata"]["name"]]
        elif manifest["kind"] == "Service":
            assert manifest["spec"]["selector"] == labels[manifest["metadata"]["name"]]
    named = {port["name"] for one in CONTAINERS.values() for port in one.get("ports", [])}
    (service,) = (one for one in MANIFESTS if one["kind"] == "Service")
    assert {port["targetPort"] for port in service["spec"]["ports"]} == named


def test_nothing_runs_with_more_rights_than_it_needs() -> None:
    for name, pod in PODS.items():
        spec, container = pod["spec"], CONTAINERS[name]
        assert spec["enableServiceLinks"] is spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert f"--uid {spec['securityContext']['runAsUser']} " in page("Dockerfile")
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False and context["readOnlyRootFilesystem"] is True


def test_the_recorder_is_restarted_when_it_is_stuck() -> None:
    (number,) = (
        one["value"] for one in CONTAINERS["recorder"]["env"] if one["name"] == "RECORDER_METRICS_PORT"
    )
    address, port, seconds = f"127.0.0.1:{number}", free_port(), 0.0
    report = SelfReport(lambda: seconds)

    def status() -> int:
        return probe("recorder", "livenessProbe", address, f"127.0.0.1:{port}")

    assert status() != 0
    with serving_report(port, report):
        report.tick()
        assert status() == 0
        seconds = STUCK_SECONDS + 1
        assert status() != 0


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_api_gets_requests_once_it_is_ready(engine: Engine) -> None:
    secret, token = new_token("kubelet", Scope.PROBE)

    def status(url: str, sent: str) -> int:
        address = url.removeprefix("http://")
        return probe("recorder-web", "readinessProbe", "127.0.0.1:8000", address, PROBE_TOKEN=sent)

    with serving(create_app(engine, tokens=[token])) as url:
        assert status(url, secret) == 0
        assert status(url, "wrong") != 0
    assert status(url, secret) != 0
