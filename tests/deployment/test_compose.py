"""The services of docker-compose.yml, run natively with their own commands instead of in Docker."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from recorder.settings import Settings
from recorder.simulator import SimulatorSettings
from recorder.tokens import Scope, new_token
from tests.support.compose import ROOT, MissingValueError, Service, secrets_in, services, variables
from tests.support.postgres import binaries, free_port
from tests.support.program import KEY, PASSWORD, Program, Running, wait_until
from tests.support.real_upstream import create_group
from tests.support.simulator import simulating

SECRET, TOKEN = new_token("ada")
VALUES = {
    "POSTGRES_PASSWORD": "o'wner:p@ss/w%40rd $1",
    "RECORDER_DB_PASSWORD": f"{PASSWORD}'/@:%",
    "API_DB_PASSWORD": f'{PASSWORD}"/@:%',
    "PARALLEL_API_KEY": KEY,
    "RECORDER_API_TOKENS": str(TOKEN),
}


class Machine:
    """Starts services as Docker would, with Docker's hosts, ports and paths mapped to this machine."""

    def __init__(self, folder: Path, server: str, upstream: str) -> None:
        self.port = free_port()
        self.database = f"recorder_{secrets.token_hex(4)}"
        self._folder = folder
        self._server = server
        self._upstream = upstream

    def environment(self, service: Service) -> dict[str, str]:
        """The service's environment, with the database and the port replaced by those of this machine."""
        server = conninfo_to_dict(self._server)
        address = f"@{server['host']}:{server['port']}/{self.database}"
        given = {
            name: text.replace("@postgres/recorder", address) for name, text in service.environment.items()
        }
        mapped = {
            "PARALLEL_BASE_URL": self._upstream,
            "RECORDER_API_PORT": str(self.port),
            "POSTGRES_DB": self.database,
            # In its container the server trusts connections over its socket.
            "POSTGRES_PASSWORD": "",
        }
        return {
            **given,
            **{name: text for name, text in mapped.items() if name in given},
            **({"PGPASSWORD": given["POSTGRES_PASSWORD"]} if "POSTGRES_PASSWORD" in given else {}),
            "PGHOST": str(server["host"]),
            "PGPORT": str(server["port"]),
            # Provides `recorder`, `python`, `psql` and `pg_isready`, as in the containers.
            "PATH": f"{Path(sys.executable).parent}:{binaries()}:{os.environ['PATH']}",
        }

    def run(self, service: Service, argv: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [word.replace(":8000/", f":{self.port}/") for word in argv],
            check=False,
            capture_output=True,
            text=True,
            cwd=self._folder,
            env=self.environment(service),
            timeout=60,
        )

    def healthy(self, service: Service) -> bool:
        return self.run(service, service.healthcheck).returncode == 0

    def program(self, service: Service) -> Program:
        """`recorder` as in the service's container."""
        return Program(self._folder).using(**self.environment(service))

    def start(self, stack: ExitStack, service: Service) -> Running:
        assert service.argv[0] == "recorder"
        return stack.enter_context(self.program(service).start(*service.argv[1:]))

    def administrator(self, database: str | None = None) -> psycopg.Connection[Any]:
        return psycopg.connect(self._server, dbname=database or self.database, autocommit=True)


TURN = 1
"""The advisory lock of those who make the services' roles."""


@pytest.fixture
def compose_services() -> dict[str, Service]:
    return services(VALUES)


@pytest.fixture
def machine(tmp_path: Path, postgres: str, compose_services: dict[str, Service]) -> Iterator[Machine]:
    """A machine whose PostgreSQL is initialized as in the image and requires passwords."""
    with simulating(SimulatorSettings()) as upstream:
        machine = Machine(tmp_path, postgres, upstream)
        environment = compose_services["postgres"].environment
        owner = sql.Identifier(environment["POSTGRES_USER"])
        with machine.administrator("postgres") as server:
            # Roles belong to the whole server, which other processes test on as well: one after the other.
            server.execute("SELECT pg_advisory_lock(%s)", [TURN])
            password = sql.Literal(environment["POSTGRES_PASSWORD"])
            server.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE PASSWORD {}").format(owner, password))
            server.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(machine.database), owner)
            )
            with _passwords_required(server, machine.database):
                yield machine
            server.execute(f"DROP DATABASE {machine.database} WITH (FORCE)")
            for role in (environment["POSTGRES_USER"], "recorder", "recorder_api", "recorder_reporting"):
                server.execute(f"DROP ROLE IF EXISTS {role}")


@contextmanager
def _passwords_required(server: psycopg.Connection[Any], database: str) -> Iterator[None]:
    """Require passwords from the services' roles for this database; it trusts all other connections."""
    (path,) = server.execute("SHOW hba_file").fetchone() or ("",)
    file = Path(path)
    before = file.read_text()
    file.write_text(f"host {database} recorder_owner,recorder,recorder_api all scram-sha-256\n{before}")
    server.execute("SELECT pg_reload_conf()")
    try:
        wait_until(
            lambda: _rejects_wrong_password(server, database) or None, "the server to require passwords"
        )
        yield
    finally:
        file.write_text(before)
        server.execute("SELECT pg_reload_conf()")


def _rejects_wrong_password(server: psycopg.Connection[Any], database: str) -> bool:
    try:
        user = {"dbname": database, "user": "recorder_owner", "password": "wrong"}
        psycopg.connect(host=server.info.host, port=server.info.port, **user).close()
    except psycopg.OperationalError:
        return True
    return False


def _get(url: str, token: str | None) -> dict[str, object]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        body: dict[str, object] = json.loads(answer.read())
        return body


def test_all_services_run_in_order(machine: Machine, compose_services: dict[str, Service]) -> None:
    database, migrate, recorder, api = (
        compose_services[name] for name in ("postgres", "migrate", "recorder", "api")
    )
    assert machine.healthy(database)
    roles = machine.run(database, [str(ROOT / "deploy" / "roles.sh")])
    assert roles.returncode == 0, roles.stderr
    for _ in range(2):
        # Every `docker compose up` runs it again.
        migrated = machine.run(migrate, migrate.argv)
        assert migrated.returncode == 0, migrated.stderr
    assert not machine.healthy(recorder)
    taskgroup_id = create_group(machine.environment(recorder)["PARALLEL_BASE_URL"], runs=2)
    assert "watching" in machine.program(recorder).ok("watch", taskgroup_id)
    with ExitStack() as stack:
        recorders = [machine.start(stack, recorder) for _ in range(2)]
        server = machine.start(stack, api)
        for service in (recorder, api):
            wait_until(lambda service=service: machine.healthy(service) or None, f"{service.name} healthy")
        url = f"http://127.0.0.1:{machine.port}"

        def seen() -> dict[str, object] | None:
            group = _get(f"{url}/api/v1/groups/{taskgroup_id}", SECRET)
            return group if group["seq"] is not None else None

        assert wait_until(seen, "the group to be seen")["phase"] == "active"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            _get(f"{url}/api/v1/groups", None)
        ready = _get(f"{url}/readyz", SECRET)
        assert len(ready["recorders"]) == 2  # type: ignore[arg-type]
        for running in (*recorders, server):
            assert running.stop() == 0
    assert not machine.healthy(api)
    assert not machine.healthy(recorder)
    _check_stale_heartbeat(machine, recorder)
    _check_refused_commands(machine, compose_services)
    _check_refused_statements(machine)


def test_an_api_that_enrols(machine: Machine) -> None:
    enrolling, token = new_token("batches", Scope.ENROL)
    values = {**VALUES, "RECORDER_API_TOKENS": f"{TOKEN},{token}"}
    with_enrolment = services(values, "deploy/compose.enrol.yml")
    assert machine.run(with_enrolment["postgres"], [str(ROOT / "deploy" / "roles.sh")]).returncode == 0
    migrate = with_enrolment["migrate"]
    assert machine.run(migrate, migrate.argv).returncode == 0
    url = f"http://127.0.0.1:{machine.port}"
    groups, body = f"{url}/api/v1/groups", {"taskgroup_id": "tgrp_1", "expected_runs": 3}
    for compose_services, status in ((services(values), 503), (with_enrolment, 201)):
        with ExitStack() as stack:
            server = machine.start(stack, compose_services["api"])
            server.wait_until_it_serves(f"{url}/healthz")
            assert httpx.post(groups, json=body, headers={"x-api-key": SECRET}).status_code == 403
            assert httpx.post(groups, json=body, headers={"x-api-key": enrolling}).status_code == status
            if status == 201:
                read = {"x-api-key": SECRET, "Accept": "text/csv"}
                assert "tgrp_1" in httpx.get(groups, headers=read).raise_for_status().text
                (group,) = _get(groups, SECRET)["items"]  # type: ignore[misc]
                assert group["expected"]["runs"] == 3
            assert server.stop() == 0


def _check_stale_heartbeat(machine: Machine, recorder: Service) -> None:
    """A killed or hanging recorder stays listed, so its heartbeat decides."""
    with machine.administrator() as server:
        beat = "INSERT INTO recorders (recorder_id, host, pid, started_at, heartbeat_at, counters) VALUES "
        for age, healthy in ((60, False), (0, True)):
            row = (f"r{age}", socket.gethostname(), 1, f"{age} s")
            server.execute(f"{beat} (%s, %s, %s, now(), now() - %s::interval, '{{}}')", row)
            assert machine.healthy(recorder) is healthy


def _check_refused_commands(machine: Machine, compose_services: dict[str, Service]) -> None:
    line = machine.program(compose_services["api"]).run("watch", "tgrp_2").complaint()
    assert "permission denied" in line
    line = (
        machine.program(compose_services["recorder"])
        .run("db", "downgrade", "base", "--discard-ledger")
        .complaint()
    )
    assert "permission denied" in line or "must be owner" in line
    wrong = machine.program(compose_services["recorder"]).using(PGPASSWORD="wrong")
    assert "password authentication failed" in wrong.run("groups").complaint()


REFUSED = {
    "recorder": [
        "UPDATE entries SET kind = 'gap'",
        "DELETE FROM entries",
        "TRUNCATE entries",
        "DELETE FROM watches",
        "DROP TABLE entries",
        "ALTER TABLE entries DISABLE TRIGGER ALL",
        "CREATE TABLE mine (id int)",
    ],
    "recorder_api": [
        "INSERT INTO entries (taskgroup_id, seq, kind, at, digest) VALUES ('a', 1, 'watch', now(), '')",
        "UPDATE watches SET state = 'paused'",
        "DELETE FROM recorders",
        "CREATE TABLE mine (id int)",
    ],
    "recorder_reporting": ["SELECT * FROM entries", "SELECT * FROM watches", "DELETE FROM recorders"],
}


def _check_refused_statements(machine: Machine) -> None:
    for role, statements in REFUSED.items():
        with machine.administrator() as server:
            server.execute(f"SET ROLE {role}")
            for statement in statements:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    server.execute(statement)


@pytest.mark.parametrize("name", sorted(VALUES))
def test_secrets_have_no_defaults(name: str) -> None:
    assert variables() == set(VALUES)
    with pytest.raises(MissingValueError, match=name):
        services({key: text for key, text in VALUES.items() if key != name})


def test_no_file_contains_a_secret() -> None:
    for name in (
        "docker-compose.yml",
        "deploy/compose.enrol.yml",
        "Dockerfile",
        ".dockerignore",
        "deploy/roles.sh",
    ):
        assert secrets_in((ROOT / name).read_text(encoding="utf-8")) == []
    assert secrets_in("  API_DB_PASSWORD: secret\n  URL: postgresql://a:secret@b/c") == ["secret", "secret"]


def test_services_use_known_settings_only(compose_services: dict[str, Service]) -> None:
    # PGPASSWORD is read by libpq.
    known = {field.alias for field in Settings.model_fields.values()} | {"PGPASSWORD"}
    for service in (compose_services["migrate"], compose_services["recorder"], compose_services["api"]):
        assert set(service.environment) <= known


def test_start_order_and_scaling(compose_services: dict[str, Service]) -> None:
    assert compose_services["migrate"].members["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert compose_services["migrate"].members["restart"] == "no"
    for name in ("recorder", "api"):
        members = compose_services[name].members
        assert members["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
        # Longer than a shutdown can take.
        assert int(members["stop_grace_period"].removesuffix("s")) > 10
    # A scaled service must not have a fixed name or port.
    assert not {"container_name", "ports"} & compose_services["recorder"].members.keys()
    assert all(port.startswith("127.0.0.1:") for port in compose_services["api"].members["ports"])


def test_image_runs_unprivileged_and_contains_no_secret() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    last = text[text.rindex("\nFROM ") :]
    (user,) = re.findall(r"^USER (\S+)$", last, re.MULTILINE)
    assert user not in {"root", "0"}
    assert "--require-hashes" in last
    assert re.findall(r"^ENTRYPOINT (.+)$", last, re.MULTILINE) == ['["recorder"]']
    assert "\nHEALTHCHECK " in last and "\nSTOPSIGNAL SIGTERM\n" in last
    assert not re.search(r"(KEY|TOKEN|PASSWORD)\w*=|^ARG ", text, re.MULTILINE)
    copied = re.findall(r"^COPY (?!--)(\S+)", text, re.MULTILINE)
    assert all(source == "." or (ROOT / source).exists() for source in copied)


def test_build_context_contains_only_what_the_image_needs() -> None:
    first, *lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert first == "*"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["setuptools"]["packages"]["find"]["include"]
    needed = {name.removesuffix("*") for name in packages} | {"pyproject.toml", "requirements"}
    needed |= {project["project"]["readme"], *project["project"]["license-files"]}
    assert {line[1:] for line in lines if line.startswith("!")} == needed
