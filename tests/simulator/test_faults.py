"""Every fault of the example scenario, over real sockets."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from recorder.simulator.faults import FAULTS
from tests.simulator.stage import PLAYS, SCENES, Stage, staged
from tests.support.simulator import HandClock

NOW = datetime(2026, 11, 24, 12, 16, 10, tzinfo=UTC)
HEAD_END = b"\r\n\r\n"

STATUSES = {
    "unauthorized": 401,
    "payment_required": 402,
    "forbidden": 403,
    "not_found": 404,
    "request_timeout": 408,
    "gone": 410,
    "unprocessable": 422,
    "rate_limit": 429,
    "server_error": 500,
    "refuse": 503,
}
PAGES = {"bad_gateway": 502, "unavailable_page": 503, "page": 200}
INCOMPLETE = ("close", "reset", "hang", "close_in_body", "hang_in_body", "garbage")
ODD_BODIES = (
    "empty",
    "truncated",
    "duplicate_keys",
    "lone_surrogate",
    "not_utf8",
    "json_array",
    "json_string",
    "json_null",
    "no_status",
    "status_text",
)
AROUND_AN_HONEST_BODY = ("huge_header", "oversize", "oversize_chunked", "gzipped")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(SCENES, HandClock(), tmp_path_factory.mktemp("stage") / "requests.ndjson") as stage:
        yield stage


def test_every_fault_is_covered() -> None:
    covered = {*STATUSES, *PAGES, *INCOMPLETE, *ODD_BODIES, *AROUND_AN_HONEST_BODY, "redirect"}
    assert covered == set(FAULTS) == {scene.what for scene in PLAYS.values()} & set(FAULTS)


@pytest.mark.parametrize(("plays", "status"), STATUSES.items())
def test_a_refusal_has_its_status_and_an_error_body(stage: Stage, plays: str, status: int) -> None:
    answer = stage.get(plays)
    assert answer.status_code == status
    assert answer.json().keys() in ({"type", "error"}, {"detail"})
    assert not {"retry-after", "retry-after-ms"} & answer.headers.keys()


@pytest.mark.parametrize(("plays", "status"), PAGES.items())
def test_a_page_is_html(stage: Stage, plays: str, status: int) -> None:
    answer = stage.get(plays)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("plays", "after", "after_ms"),
    [
        ("rate_limit, seconds", "7", None),
        ("rate_limit, milliseconds", None, "1500"),
        ("rate_limit, both", "60", "250"),
        ("rate_limit, absurd", "99999999999999999999", None),
        ("rate_limit, negative", "-5", None),
        ("rate_limit, nonsense", "soon", "nan"),
        ("refuse, seconds", "3", None),
    ],
)
def test_retry_headers_are_sent_as_the_scene_gives_them(
    stage: Stage, plays: str, after: str | None, after_ms: str | None
) -> None:
    headers = stage.get(plays).headers
    assert (headers.get("retry-after"), headers.get("retry-after-ms")) == (after, after_ms)


@pytest.mark.parametrize(("plays", "seconds"), [("rate_limit, date", 90), ("rate_limit, past date", -90)])
def test_retry_after_can_be_a_date(stage: Stage, plays: str, seconds: int) -> None:
    text = stage.get(plays).headers["retry-after"]
    assert text.endswith(" GMT")
    assert parsedate_to_datetime(text) == NOW + timedelta(seconds=seconds)


def test_a_redirect_points_to_the_same_path(stage: Stage) -> None:
    answer = stage.get("redirect")
    assert answer.status_code == 307
    assert answer.headers["location"] == answer.request.url.path


def test_a_closed_connection_sends_nothing(stage: Stage) -> None:
    assert stage.raw("close") == b""


def test_a_reset_connection_is_reset(stage: Stage) -> None:
    with pytest.raises(ConnectionResetError):
        stage.raw("reset")


def test_a_hanging_connection_stays_open_without_a_byte(stage: Stage) -> None:
    with stage.connect("hang") as connection:
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_garbage_is_not_http(stage: Stage) -> None:
    received = stage.raw("garbage")
    assert received
    assert not received.startswith(b"HTTP/")
    with pytest.raises(httpx.RemoteProtocolError, match="illegal"):
        stage.get("garbage")


def half(received: bytes) -> tuple[bytes, int]:
    """Return the part of a body that was received, and its announced length."""
    head, _, body = received.partition(HEAD_END)
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    return body, next(int(line.split(b" ")[1]) for line in lines if line.startswith(b"Content-Length"))


def test_a_body_that_is_cut_short_is_half_of_the_honest_one(stage: Stage) -> None:
    body, announced = half(stage.raw("close_in_body"))
    truth = stage.truth("close_in_body").encode()
    assert announced == len(truth)
    assert body == truth[: len(truth) // 2]


def test_a_body_that_hangs_stops_after_half_of_the_honest_one(stage: Stage) -> None:
    truth = stage.truth("hang_in_body").encode()
    with stage.connect("hang_in_body") as connection:
        received = b""
        while not received.endswith(truth[: len(truth) // 2]):
            chunk = connection.recv(65_536)
            assert chunk, "the connection was closed"
            received += chunk
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert half(received) == (truth[: len(truth) // 2], len(truth))


def test_a_huge_header_comes_with_the_honest_body(stage: Stage) -> None:
    head, _, body = stage.raw("huge_header").partition(HEAD_END)
    assert max(map(len, head.split(b"\r\n"))) > 65_536
    assert body.decode() == stage.truth("huge_header")


@pytest.mark.parametrize(("plays", "size"), [("oversize", 1_048_577), ("oversize_chunked", 2_097_152)])
def test_an_oversize_body_is_honest_except_for_its_length(stage: Stage, plays: str, size: int) -> None:
    answer = stage.get(plays)
    assert len(answer.content) == size
    assert answer.text.rstrip(" ") == stage.truth(plays)
    chunked = plays == "oversize_chunked"
    assert answer.headers.get("content-length") == (None if chunked else str(size))
    assert answer.headers.get("transfer-encoding") == ("chunked" if chunked else None)


def test_gzip_is_sent_although_the_client_does_not_accept_it(stage: Stage) -> None:
    group = stage.groups["gzipped"]
    headers = {"accept-encoding": "identity"}
    with stage.client.stream("GET", f"/v1/tasks/groups/{group}", headers=headers) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        raw = b"".join(answer.iter_raw())
    assert gzip.decompress(raw).decode() == stage.truth("gzipped")


def pairs(text: str) -> list[tuple[str, Any]]:
    """Return all members of all objects, including duplicates."""
    found: list[tuple[str, Any]] = []
    json.loads(text, object_pairs_hook=lambda members: found.extend(members) or dict(members))
    return found


def _duplicates(text: str, truth: str) -> None:
    values = [value for name, value in pairs(text) if name == "is_active"]
    assert sorted(values) == [False, True]
    assert values[0] is json.loads(truth)["status"]["is_active"]


def _surrogate(text: str, _: str) -> None:
    message = json.loads(text)["status"]["status_message"]
    assert any(0xD800 <= ord(character) <= 0xDFFF for character in message)


def _no_status(text: str, truth: str) -> None:
    honest = json.loads(truth)
    del honest["status"]
    assert json.loads(text) == honest


def _is(
    expected: Callable[[str], Any], read: Callable[[str], Any] = json.loads
) -> Callable[[str, str], None]:
    def check(text: str, truth: str) -> None:
        assert read(text) == expected(truth)

    return check


BODY_CHECKS: dict[str, Callable[[str, str], None]] = {
    "empty": _is(lambda _: "", str),
    "truncated": _is(lambda truth: truth[: len(truth) // 2], str),
    "duplicate_keys": _duplicates,
    "lone_surrogate": _surrogate,
    "json_array": _is(lambda truth: [json.loads(truth)]),
    "json_string": _is(lambda truth: truth),
    "json_null": _is(lambda _: None),
    "no_status": _no_status,
    "status_text": _is(lambda truth: json.loads(truth) | {"status": "running"}),
}


@pytest.mark.parametrize("plays", [plays for plays in ODD_BODIES if plays != "not_utf8"])
def test_an_odd_body_is_wrong_in_the_expected_way(stage: Stage, plays: str) -> None:
    answer = stage.get(plays)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "application/json")
    text = answer.content.decode("utf-8")
    BODY_CHECKS[plays](text, stage.truth(plays))
    assert stage.last_line(plays)["body"] == text


def test_a_body_that_is_not_utf8_is_json_except_for_one_byte(stage: Stage) -> None:
    content = stage.get("not_utf8").content
    with pytest.raises(UnicodeDecodeError):
        content.decode("utf-8")
    assert json.loads(content.decode("latin-1"))["taskgroup_id"] == stage.groups["not_utf8"]


@pytest.mark.parametrize("plays", [plays for plays, scene in PLAYS.items() if scene.what in FAULTS])
def test_the_log_has_the_fault_and_what_was_sent(stage: Stage, plays: str) -> None:
    scene = PLAYS[plays]
    group = stage.groups[plays]
    answer = None
    try:
        answer = stage.client.get(f"/v1/tasks/groups/{group}", timeout=0.3 if "hang" in plays else 30)
    except httpx.TransportError:
        assert scene.what in INCOMPLETE
    line = stage.last_line(plays)
    assert (line["fault"], line["scenes"]) == (scene.what, [{"scene": scene.number, "what": scene.what}])
    if answer is None:
        assert (line["status"], line["body"], line["answered_at"]) == (None, None, None)
    else:
        assert line["status"] == answer.status_code
        not_text = scene.what in ("gzipped", "not_utf8")
        assert line["body"] == (None if not_text else answer.content.decode("utf-8"))


@pytest.mark.parametrize("plays", ODD_BODIES)
def test_a_group_without_runs_gets_the_same_body(stage: Stage, plays: str) -> None:
    stage.client.get(f"/v1/tasks/groups/{stage.empty[plays]}")
    line = json.loads(stage.log.read_text("utf-8").splitlines()[-1])
    assert (line["taskgroup_id"], line["fault"], line["status"]) == (stage.empty[plays], plays, 200)


def test_stopping_ends_what_hangs_inside_a_body(tmp_path: Path) -> None:
    with staged(SCENES, HandClock(), tmp_path / "log") as stage:
        truth = stage.truth("hang_in_body").encode()
        connection = stage.connect("hang_in_body")
        received = b""
        while HEAD_END not in received:
            received += connection.recv(65_536)
    with connection:
        while chunk := connection.recv(65_536):
            received += chunk
    assert half(received) == (truth[: len(truth) // 2], len(truth))
