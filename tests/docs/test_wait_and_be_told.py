"""The page on waiting and sinks: its file is valid, its figures are right, and its programs work."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from recorder.notify.events import Event, EventType
from recorder.notify.retries import FIRST_WAIT, GIVE_UP_AFTER, LONGEST_WAIT
from recorder.notify.sending import SEND_SECONDS
from recorder.notify.sink_file import read_sink_file
from recorder.notify.standard_webhooks import signing_key, webhook_body, webhook_headers
from recorder.store.deliveries import LEASE
from tests.support.pages import blocks, first_codes, page, rows, section

PAGE = page("docs/wait-and-be-told.md")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
(TOML,) = (block.code for block in blocks(PAGE) if block.language == "toml")
PROGRAMS = [block.code for block in blocks(PAGE) if block.language == "python"]


def _run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, "example", "exec"), names)
    return names


def test_the_file_has_no_mistake() -> None:
    environment = {"PIPELINE_SECRET": SECRET, "CHAT_URL": "slack://x", "MAIL_URL": "mailtos://x"}
    found = read_sink_file(TOML, environment)
    assert found.complaints == ()
    assert [sink.name for sink in found.sinks] == ["pipeline", "chat", "mail"]


def test_the_table_names_every_member() -> None:
    members = first_codes(rows(section(PAGE, "Sinks")))
    assert set(members) == {"name", "url", "secret_env", "url_env", "events", "where"}


def test_the_figures() -> None:
    text = " ".join(PAGE.split())
    assert FIRST_WAIT.total_seconds() == 5 and "The first retry comes after 5 s" in text
    assert LONGEST_WAIT.total_seconds() == 3600 and "up to an hour" in text
    assert GIVE_UP_AFTER.total_seconds() == 48 * 3600 and "for 48 hours" in text
    assert f"another goes on within {LEASE.total_seconds():g} s" in text
    assert f"A webhook has {SEND_SECONDS:g} s to answer" in text


def test_the_command_makes_a_secret() -> None:
    (line,) = (
        line for block in blocks(PAGE) for line in block.code.splitlines() if line.startswith("python")
    )
    code = line.partition("'")[2].rpartition("'")[0]
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert len(signing_key(made.strip())) == 32


def test_the_receiver_takes_what_is_sent_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIPELINE_SECRET", SECRET)
    client = _run(PROGRAMS[0])["app"].test_client()
    now = datetime.now(UTC)
    body = webhook_body(Event(EventType.SETTLED, "1", now, "tgrp_1", 2, {"taskgroup_id": "tgrp_1"}))
    headers = webhook_headers(signing_key(SECRET), "17", body, now)
    assert client.post("/recorder", data=body, headers=headers).status_code == 204
    assert capsys.readouterr().out == "17 group.settled tgrp_1\n"
    assert client.post("/recorder", data=body + b" ", headers=headers).status_code == 401


SETTLED = {"state": "watching", "phase": "settled", "arrived": None}
BODIES: list[tuple[dict[str, object], bool | None]] = [
    (SETTLED, True),
    ({**SETTLED, "arrived": True}, True),
    ({**SETTLED, "arrived": False}, False),
    ({**SETTLED, "phase": "active"}, False),
    ({**SETTLED, "phase": None}, False),
    ({**SETTLED, "state": "retired"}, True),
    ({**SETTLED, "phase": "blocked"}, None),
    ({**SETTLED, "state": "gone", "phase": "active"}, None),
]


@pytest.mark.parametrize(("body", "done"), BODIES)
def test_the_sensor(monkeypatch: pytest.MonkeyPatch, body: dict[str, object], done: bool | None) -> None:
    class Answer:
        def __enter__(self) -> Answer:
            return self

        def __exit__(self, *_: object) -> None:
            """Close nothing."""

        def read(self) -> bytes:
            return json.dumps(body).encode()

    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: Answer())
    sensor = _run(PROGRAMS[1])["settled_or_raise"]
    if done is None:
        with pytest.raises(RuntimeError, match="tgrp_1 is"):
            sensor("tgrp_1")
    else:
        assert sensor("tgrp_1") is done
