"""Every fault of the example scenario, over real sockets."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from recorder.simulator import SimulatorSettings, parse_scenario
from recorder.simulator.faults import FAULTS
from tests.simulator.stage import PLAYS, SCENES, Stage, group_of, staged
from tests.support.simulator import SIMULATOR_KEY, ManualClock, simulating

NOW = datetime(2026, 11, 24, 12, 16, 10, tzinfo=UTC)
HEAD_END = b"\r\n\r\n"

STATUSES = {
    "unauthorized": 401,
    "payment_required": 402,
    "forbidden": 403,
    "not_found": 404,
    "v1beta_only": 404,
    "request_timeout": 408,
    "gone": 410,
    "unprocessable": 422,
    "rate_limit": 429,
    "server_error": 500,
    "refuse": 503,
}
PAGES = {"bad_gateway": 502, "unavailable_page": 503, "page": 200}
INCOMPLETE = ("close", "reset", "hang", "close_in_body", "hang_in_body", "garbage")
INVALID_BODIES = (
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
WITH_THE_REFERENCE_BODY = ("huge_header", "oversize", "oversize_chunked", "gzipped")
FROM_EARLIER = ("cached", "lagging")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(SCENES, ManualClock(), tmp_path_factory.mktemp("stage") / "requests.ndjson") as stage:
        yield stage


def test_every_fault_is_covered() -> None:
    covered = {*STATUSES, *PAGES, *INCOMPLETE, *INVALID_BODIES, *WITH_THE_REFERENCE_BODY, *FROM_EARLIER}
    covered |= {"redirect", "v1_only"}
    assert covered == set(FAULTS) == {scene.what for scene in PLAYS.values()} & set(FAULTS)


@pytest.mark.parametrize(("plays", "status"), STATUSES.items())
def test_an_error_has_its_status_and_an_error_body(stage: Stage, plays: str, status: int) -> None:
    response = stage.get(plays)
    assert response.status_code == status
    assert response.json().keys() in ({"type", "error"}, {"detail"})
    assert not {"retry-after", "retry-after-ms"} & response.headers.keys()


def test_groups_are_found_under_one_prefix_alone(stage: Stage) -> None:
    group = f"tasks/groups/{stage.groups['v1_only']}"
    assert stage.client.get(f"/v1/{group}").text == stage.reference.get(f"/v1/{group}").text
    assert stage.client.get(f"/v1beta/{group}").status_code == 404
    assert stage.client.get("/v1beta/tasks/groups/" + stage.groups["v1beta_only"]).status_code == 200


@pytest.mark.parametrize(("plays", "status"), PAGES.items())
def test_a_page_is_sent_as_html(stage: Stage, plays: str, status: int) -> None:
    response = stage.get(plays)
    assert response.status_code == status
    assert response.headers["content-type"].startswith("text/html")
    assert response.text.startswith("<!DOCTYPE html>")


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
def test_retry_headers_are_sent_as_configured(
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
    response = stage.get("redirect")
    assert response.status_code == 307
    assert response.headers["location"] == response.request.url.path


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


def partial_body(received: bytes) -> tuple[bytes, int]:
    """Return the part of a body that was received, and its announced length."""
    head, _, body = received.partition(HEAD_END)
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    return body, next(int(line.split(b" ")[1]) for line in lines if line.startswith(b"Content-Length"))


def test_a_body_that_is_cut_short_is_half_of_the_reference(stage: Stage) -> None:
    body, announced = partial_body(stage.raw("close_in_body"))
    reference_text = stage.reference_text("close_in_body").encode()
    assert announced == len(reference_text)
    assert body == reference_text[: len(reference_text) // 2]


def test_a_body_that_hangs_stops_after_half_of_the_reference(stage: Stage) -> None:
    reference_text = stage.reference_text("hang_in_body").encode()
    with stage.connect("hang_in_body") as connection:
        received = b""
        while not received.endswith(reference_text[: len(reference_text) // 2]):
            chunk = connection.recv(65_536)
            assert chunk, "the connection was closed"
            received += chunk
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert partial_body(received) == (reference_text[: len(reference_text) // 2], len(reference_text))


def test_a_huge_header_comes_with_the_reference_body(stage: Stage) -> None:
    head, _, body = stage.raw("huge_header").partition(HEAD_END)
    assert max(map(len, head.split(b"\r\n"))) > 65_536
    assert body.decode() == stage.reference_text("huge_header")


@pytest.mark.parametrize(("plays", "size"), [("oversize", 1_048_577), ("oversize_chunked", 2_097_152)])
def test_an_oversize_body_is_the_reference_with_padding(stage: Stage, plays: str, size: int) -> None:
    response = stage.get(plays)
    assert len(response.content) == size
    assert response.text.rstrip(" ") == stage.reference_text(plays)
    chunked = plays == "oversize_chunked"
    assert response.headers.get("content-length") == (None if chunked else str(size))
    assert response.headers.get("transfer-encoding") == ("chunked" if chunked else None)


def test_gzip_is_sent_even_if_the_client_does_not_accept_it(stage: Stage) -> None:
    group = stage.groups["gzipped"]
    headers = {"accept-encoding": "identity"}
    with stage.client.stream("GET", f"/v1/tasks/groups/{group}", headers=headers) as response:
        assert response.headers["content-encoding"] == "gzip"
        raw = b"".join(response.iter_raw())
    assert gzip.decompress(raw).decode() == stage.reference_text("gzipped")


def _counts(response: httpx.Response) -> dict[str, int]:
    assert response.status_code == 200
    counts: dict[str, int] = response.json()["status"]["task_run_status_counts"]
    return counts


def _scene(what: str, **values: float) -> bytes:
    lines = [f'what = "{what}"', *(f"{name} = {value}" for name, value in values.items())]
    return "\n".join(["[[scenes]]", "label.plays = true", *lines]).encode()


@contextmanager
def _playing(scene: bytes, clock: ManualClock) -> Iterator[Callable[[], httpx.Response]]:
    """Run a simulator with one scene, and a group that completes 3 of 5 runs 1 s after its creation."""
    with simulating(SimulatorSettings(scenario=parse_scenario(scene)), clock) as url:
        headers = {"x-api-key": SIMULATOR_KEY}
        with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30) as client:
            group = group_of(client, {"plays": True})
            yield lambda: client.get(f"/v1/tasks/groups/{group}")


def test_a_cache_repeats_the_body_of_when_the_scene_began() -> None:
    clock = ManualClock()
    with _playing(_scene("cached", **{"from": 5, "to": 10, "age": 4.5}), clock) as get:
        clock.advance(4)
        honest = get()
        assert (_counts(honest), "age" in honest.headers) == ({"completed": 3, "running": 2}, False)
        clock.advance(1)
        first = get()
        assert (_counts(first), first.headers["age"]) == ({"running": 5}, "4")
        clock.advance(4)
        again = get()
        assert (again.text, again.headers["age"]) == (first.text, "8")
        clock.advance(1)
        assert get().text == honest.text


def test_a_replica_that_lags_is_so_many_seconds_behind() -> None:
    clock = ManualClock()
    with _playing(_scene("lagging", **{"from": 1, "to": 4, "seconds": 1.5}), clock) as get:
        clock.advance(0.99)
        before = get()
        clock.advance(1)
        assert get().text == before.text
        clock.advance(1)
        behind = get()
        assert (_counts(behind), "age" in behind.headers) == ({"completed": 3, "running": 2}, False)


def test_no_body_is_from_before_the_group(stage: Stage) -> None:
    response = stage.get("cached")
    assert _counts(response) == {"running": 5}
    assert response.headers["age"] == "10"


def all_members(text: str) -> list[tuple[str, Any]]:
    """Return the members of all objects, including duplicates."""
    found: list[tuple[str, Any]] = []
    json.loads(text, object_pairs_hook=lambda members: found.extend(members) or dict(members))
    return found


def _duplicates(text: str, reference_text: str) -> None:
    values = [value for name, value in all_members(text) if name == "is_active"]
    assert sorted(values) == [False, True]
    assert values[0] is json.loads(reference_text)["status"]["is_active"]


def _surrogate(text: str, _: str) -> None:
    message = json.loads(text)["status"]["status_message"]
    assert any(0xD800 <= ord(character) <= 0xDFFF for character in message)


def _no_status(text: str, reference_text: str) -> None:
    reference = json.loads(reference_text)
    del reference["status"]
    assert json.loads(text) == reference


def _is(
    expected: Callable[[str], Any], read: Callable[[str], Any] = json.loads
) -> Callable[[str, str], None]:
    def check(text: str, reference_text: str) -> None:
        assert read(text) == expected(reference_text)

    return check


BODY_CHECKS: dict[str, Callable[[str, str], None]] = {
    "empty": _is(lambda _: "", str),
    "truncated": _is(lambda reference_text: reference_text[: len(reference_text) // 2], str),
    "duplicate_keys": _duplicates,
    "lone_surrogate": _surrogate,
    "json_array": _is(lambda reference_text: [json.loads(reference_text)]),
    "json_string": _is(lambda reference_text: reference_text),
    "json_null": _is(lambda _: None),
    "no_status": _no_status,
    "status_text": _is(lambda reference_text: json.loads(reference_text) | {"status": "running"}),
}


@pytest.mark.parametrize("plays", [plays for plays in INVALID_BODIES if plays != "not_utf8"])
def test_an_invalid_body_is_wrong_in_the_expected_way(stage: Stage, plays: str) -> None:
    response = stage.get(plays)
    assert (response.status_code, response.headers["content-type"].split(";")[0]) == (200, "application/json")
    text = response.content.decode("utf-8")
    BODY_CHECKS[plays](text, stage.reference_text(plays))
    assert stage.last_line(plays)["body"] == text


def test_a_body_that_is_not_utf8_is_json_apart_from_one_byte(stage: Stage) -> None:
    content = stage.get("not_utf8").content
    with pytest.raises(UnicodeDecodeError):
        content.decode("utf-8")
    assert json.loads(content.decode("latin-1"))["taskgroup_id"] == stage.groups["not_utf8"]


@pytest.mark.parametrize("plays", [plays for plays, scene in PLAYS.items() if scene.what in FAULTS])
def test_the_log_has_the_fault_and_what_was_sent(stage: Stage, plays: str) -> None:
    scene = PLAYS[plays]
    group = stage.groups[plays]
    response = None
    try:
        response = stage.client.get(f"/v1/tasks/groups/{group}", timeout=0.3 if "hang" in plays else 30)
    except httpx.TransportError:
        assert scene.what in INCOMPLETE
    line = stage.last_line(plays)
    assert (line["fault"], line["scenes"]) == (scene.what, [{"scene": scene.number, "what": scene.what}])
    if response is None:
        assert (line["status"], line["body"], line["answered_at"]) == (None, None, None)
    else:
        assert line["status"] == response.status_code
        not_text = scene.what in ("gzipped", "not_utf8")
        assert line["body"] == (None if not_text else response.content.decode("utf-8"))


@pytest.mark.parametrize("plays", INVALID_BODIES)
def test_a_group_without_runs_has_the_same_faults(stage: Stage, plays: str) -> None:
    stage.client.get(f"/v1/tasks/groups/{stage.empty[plays]}")
    line = json.loads(stage.log.read_text("utf-8").splitlines()[-1])
    assert (line["taskgroup_id"], line["fault"], line["status"]) == (stage.empty[plays], plays, 200)


def test_stopping_ends_responses_that_hang_in_the_body(tmp_path: Path) -> None:
    with staged(SCENES, ManualClock(), tmp_path / "log") as stage:
        reference_text = stage.reference_text("hang_in_body").encode()
        connection = stage.connect("hang_in_body")
        received = b""
        while HEAD_END not in received:
            received += connection.recv(65_536)
    with connection:
        while chunk := connection.recv(65_536):
            received += chunk
    assert partial_body(received) == (reference_text[: len(reference_text) // 2], len(reference_text))
