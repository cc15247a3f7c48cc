"""What docker-compose.yml says, carried out without Docker: each service's own command, natively."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from recorder.settings import Settings
from recorder.simulator import SimulatorSettings
from recorder.tokens import new_token
from tests.deployment.compose import ROOT, MissingValueError, Service, services, variables
from tests.end_to_end.upstream import create_group
from tests.postgres import binaries, free_port
from tests.program import Program, Running, wait_until
from tests.simulator.conftest import simulating

SECRET, TOKEN = new_token("ada")
VALUES = {
    "POSTGRES_PASSWORD": "owner1",
    "RECORDER_DB_PASSWORD": "recorder1",
    "API_DB_PASSWORD": "api1",
    "PARALLEL_API_KEY": "key1",
    "RECORDER_API_TOKENS": str(TOKEN),
}


class Machine:
    """Starts services as Docker would, with what Docker gives them mapped to this machine."""

    def __init__(self, folder: Path, server: str, upstream: str) -> None:
        self.port = free_port()
        self._folder = folder
        self._server = conninfo_to_dict(server)
        self._upstream = upstream
        self._suffix = secrets.token_hex(4)

    @property
    def database(self) -> str:
        return f"recorder_{self._suffix}"

    def environment(self, service: Service) -> dict[str, str]:
        """The service's environment: the database's host and name, and the port, are this machine's."""
        place = f"@{self._server['host']}:{self._server['port']}/{self.database}"
        mapped = {
            name: text.replace("@postgres/recorder", place) for name, text in service.environment.items()
        }
        return {
            **mapped,
            **({"PARALLEL_BASE_URL": self._upstream} if "PARALLEL_BASE_URL" in mapped else {}),
            **({"RECORDER_API_PORT": str(self.port)} if "RECORDER_API_PORT" in mapped else {}),
            "PGHOST": str(self._server["host"]),
            "PGPORT": str(self._server["port"]),
            "POSTGRES_DB": self.database,
            # `recorder`, `python`, `psql` and `pg_isready` as the containers have them.
            "PATH": f"{Path(sys.executable).parent}:{binaries()}:{os.environ['PATH']}",
        }

    def run(self, service: Service, argv: list[str]) -> subprocess.CompletedProcess[str]:
        text = [word.replace(":8000/", f":{self.port}/") for word in argv]
        return subprocess.run(
            text,
            check=False,
            capture_output=True,
            text=True,
            cwd=self._folder,
            env=self.environment(service),
            timeout=60,
        )

    def healthy(self, service: Service) -> bool:
        return self.run(service, service.healthcheck).returncode == 0

    def start(self, stack: ExitStack, service: Service) -> Running:
        assert service.argv[0] == "recorder"
        program = Program(self._folder).using(**self.environment(service))
        return stack.enter_context(program.start(*service.argv[1:]))


@pytest.fixture
def composed() -> dict[str, Service]:
    return services(VALUES)


@pytest.fixture
def machine(tmp_path: Path, postgres: str, composed: dict[str, Service]) -> Iterator[Machine]:
    """A machine whose PostgreSQL has what the image makes at first: the owner and the database."""
    with simulating(SimulatorSettings()) as upstream:
        machine = Machine(tmp_path, postgres, upstream)
        owner = composed["postgres"].environment["POSTGRES_USER"]
        roles = [owner, "recorder", "recorder_api", "recorder_reporting"]
        with psycopg.connect(postgres, autocommit=True) as server:
            server.execute(f"CREATE ROLE {owner} LOGIN CREATEROLE")
            server.execute(f"CREATE DATABASE {machine.database} OWNER {owner}")
        yield machine
        with psycopg.connect(postgres, autocommit=True) as server:
            server.execute(f"DROP DATABASE {machine.database} WITH (FORCE)")
            for role in roles:
                server.execute(f"DROP ROLE {role}")


def _get(url: str, token: str | None) -> dict[str, object]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        body: dict[str, object] = json.loads(answer.read())
        return body


def test_all_services_one_after_the_other(
    tmp_path: Path, machine: Machine, composed: dict[str, Service]
) -> None:
    database, migrate, recorder, api = (composed[name] for name in ("postgres", "migrate", "recorder", "api"))
    assert machine.healthy(database)
    roles = machine.run(database, [str(ROOT / "deploy" / "roles.sh")])
    assert roles.returncode == 0, roles.stderr
    for _ in range(2):
        # Every start of the whole runs it anew.
        migrated = machine.run(migrate, migrate.argv)
        assert migrated.returncode == 0, migrated.stderr
    assert not machine.healthy(recorder)
    taskgroup_id = create_group(machine.environment(recorder)["PARALLEL_BASE_URL"], runs=2)
    watched = Program(tmp_path).using(**machine.environment(recorder)).ok("watch", taskgroup_id)
    assert "watching" in watched
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
    _each_role_is_refused_what_it_must_not(machine, composed)


def _each_role_is_refused_what_it_must_not(machine: Machine, composed: dict[str, Service]) -> None:
    refused = {
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
    owner_url = machine.environment(composed["migrate"])["RECORDER_DATABASE_URL"]
    for role, statements in refused.items():
        with psycopg.connect(
            owner_url.replace("recorder_owner:owner1@", "postgres@"), autocommit=True
        ) as conn:
            conn.execute(f"SET ROLE {role}")
            for view in ("status_history", "latest_status", "observation_gaps"):
                if role != "recorder":
                    conn.execute(f"SELECT * FROM {view}")
            for statement in statements:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    conn.execute(statement)


@pytest.mark.parametrize("name", sorted(VALUES))
def test_nothing_secret_has_a_default(name: str) -> None:
    assert variables() == set(VALUES)
    with pytest.raises(MissingValueError, match=name):
        services({key: text for key, text in VALUES.items() if key != name})


def test_every_setting_is_one(composed: dict[str, Service]) -> None:
    known = {field.alias for field in Settings.model_fields.values()}
    for service in (composed["migrate"], composed["recorder"], composed["api"]):
        assert set(service.environment) <= known


def test_the_order_of_things(composed: dict[str, Service]) -> None:
    assert composed["migrate"].members["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert composed["migrate"].members["restart"] == "no"
    for name in ("recorder", "api"):
        members = composed[name].members
        assert members["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
        # It is given more time to end than it takes at most.
        assert int(members["stop_grace_period"].removesuffix("s")) > 10
    # What is scaled has neither a name nor a port of its own.
    assert not {"container_name", "ports"} & composed["recorder"].members.keys()
    assert all(port.startswith("127.0.0.1:") for port in composed["api"].members["ports"])


def test_the_image_runs_as_nobody_in_particular_and_holds_no_secret() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    last = text[text.rindex("\nFROM ") :]
    (user,) = re.findall(r"^USER (\S+)$", last, re.MULTILINE)
    assert user not in {"root", "0"}
    assert "--require-hashes" in last
    assert re.findall(r"^ENTRYPOINT (.+)$", last, re.MULTILINE) == ['["recorder"]']
    assert not re.search(r"(KEY|TOKEN|PASSWORD)\w*=", text)
    copied = re.findall(r"^COPY (?!--)(\S+)", text, re.MULTILINE)
    assert all(source == "." or (ROOT / source).exists() for source in copied)
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"]
    assert all((ROOT / name).exists() for name in allowed)
