"""Exports over HTTP: what is asked for, what is refused, and the headers."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from api.context import context
from tests.api.exporting import GROUP, GROUPS, VIEWS
from tests.support.api_client import Client, headers_of
from tests.support.recording import Recording


@pytest.mark.usefixtures("filled")
def test_the_headers_of_an_export(asking: FlaskClient) -> None:
    for form, content_type in (
        ("csv", "text/csv; charset=utf-8; header=present"),
        ("ndjson", "application/x-ndjson"),
    ):
        answer = asking.get(f"{GROUPS}/%C3%A4,%20b/history?format={form}")
        assert answer.headers["Content-Type"] == content_type
        assert answer.headers["Content-Disposition"] == f'attachment; filename="history-___b.{form}"'
        assert "Accept" in answer.vary and answer.get_etag() == (None, None)
        assert "Content-Length" not in answer.headers
    assert 'filename="groups.csv"' in asking.get(f"{GROUPS}?format=csv").headers["Content-Disposition"]
    assert "Accept" in asking.get(GROUPS).vary


@pytest.mark.usefixtures("filled")
def test_head_reads_no_row(asking: FlaskClient, app: Flask) -> None:
    statements: list[str] = []
    with app.app_context():
        engine = context().engine
    event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    for path, (view, _) in VIEWS.items():
        got = asking.get(f"{path}?format=csv")
        assert any(view in statement for statement in statements)
        statements.clear()
        head = asking.head(f"{path}?format=csv")
        assert (head.status_code, head.get_data()) == (200, b"")
        assert headers_of(head) == headers_of(got)
        assert not any(view in statement for statement in statements)
    assert asking.head(f"{GROUPS}/nobody/gaps?format=csv").status_code == 404


ACCEPTED = [
    ("text/html,application/xhtml+xml,*/*", "application/json"),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/json"),
    ("application/json, text/csv", "application/json"),
    ("application/json;q=0.5, text/csv", "text/csv"),
    ("text/csv, */*", "text/csv"),
    ("text/*", "text/csv"),
    ("application/x-ndjson", "application/x-ndjson"),
    ("application/json;q=0, application/*", "application/x-ndjson"),
]


def test_what_is_accepted_decides(asking: FlaskClient) -> None:
    for accept, mimetype in ACCEPTED:
        assert asking.get(GROUPS, headers={"Accept": accept}).mimetype == mimetype


@pytest.mark.parametrize(("form", "mimetype"), [("json", "application/json"), ("csv", "text/csv")])
def test_the_parameter_goes_before_the_header(asking: FlaskClient, form: str, mimetype: str) -> None:
    for accept in ("application/x-ndjson", "text/html"):
        answer = asking.get(f"{GROUPS}?format={form}", headers={"Accept": accept})
        assert (answer.status_code, answer.mimetype) == (200, mimetype)


def test_the_format_stays_from_page_to_page(client: Client, recording: Recording) -> None:
    for name in ("a", "b", "c"):
        recording.watch(name)
    pages = client.pages(f"{GROUPS}?format=json&limit=1")
    assert len(pages) == 3 and "format=json" in pages[0]["next"]
    without = pages[0]["next"].replace("format=json&", "")
    assert client.get(without)["items"] == pages[1]["items"]


@pytest.mark.usefixtures("filled")
def test_samples_may_be_asked_for_as_json(client: Client) -> None:
    question = f"{GROUP}/history?step=60"
    assert client.get(f"{question}&format=json") == client.get(question)


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("headers", [{}, {"Accept": "text/csv"}])
def test_what_does_not_go_with_an_export_is_refused(asking: FlaskClient, headers: dict[str, str]) -> None:
    form = "" if headers else "&format=csv"
    for address, locations in (
        (f"{GROUPS}?limit=5&cursor=x&count=true&phase=done", ["limit", "cursor", "count", "phase"]),
        (f"{GROUP}/history?step=60&kind=gap,status", ["step", "kind"]),
        (f"{GROUP}/gaps?limit=1000", ["limit"]),
    ):
        answer = asking.get(address + form, headers=headers)
        assert answer.status_code == 422
        assert [error["location"] for error in answer.get_json()["errors"]] == locations
    assert "ask for json" in answer.get_json()["detail"]


def test_an_unknown_format_and_nothing_acceptable(asking: FlaskClient) -> None:
    for address in (GROUPS, f"{GROUP}/history", f"{GROUP}/gaps", f"{GROUP}/completion"):
        answer = asking.get(f"{address}?format=xlsx", headers={"Accept": "text/html"})
        assert answer.status_code == 422
        assert answer.get_json()["detail"] == "format is not one of json, csv, ndjson"
        refused = asking.get(address, headers={"Accept": "text/html"})
        assert refused.status_code == 406
        assert "application/json, text/csv or application/x-ndjson" in refused.get_json()["detail"]
    assert asking.get("/api/v1/completion?format=csv").status_code == 422
    assert asking.get("/api/v1/completion", headers={"Accept": "text/csv"}).status_code == 406


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_what_a_form_sends_without_being_asked_goes_with_an_export(asking: FlaskClient, form: str) -> None:
    plain = asking.get(f"{GROUPS}?format={form}").get_data()
    filled = asking.get(f"{GROUPS}?late=false&count=false&limit=100&format={form}")
    assert (filled.status_code, filled.get_data()) == (200, plain)
