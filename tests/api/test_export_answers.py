"""Exports over HTTP: negotiation, refusals and headers."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from api.context import context
from tests.api.export_data import GROUP, GROUPS, VIEWS, populate
from tests.support.api_client import Client, headers_of
from tests.support.recording import Recording


@pytest.mark.ledger(fill=populate)
def test_headers(flask_client: FlaskClient) -> None:
    for export_format, content_type in (
        ("csv", "text/csv; charset=utf-8; header=present"),
        ("ndjson", "application/x-ndjson"),
    ):
        response = flask_client.get(f"{GROUPS}/%C3%A4,%20b/history?format={export_format}")
        assert response.headers["Content-Type"] == content_type
        assert (
            response.headers["Content-Disposition"] == f'attachment; filename="history-___b.{export_format}"'
        )
        assert "Accept" in response.vary and response.get_etag() == (None, None)
        assert "Content-Length" not in response.headers
    assert 'filename="groups.csv"' in flask_client.get(f"{GROUPS}?format=csv").headers["Content-Disposition"]
    assert "Accept" in flask_client.get(GROUPS).vary


@pytest.mark.ledger(fill=populate)
def test_head_reads_no_rows(flask_client: FlaskClient, app: Flask) -> None:
    statements: list[str] = []
    with app.app_context():
        engine = context().engine
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    for path, (view, _) in VIEWS.items():
        got = flask_client.get(f"{path}?format=csv")
        assert any(view in statement for statement in statements)
        statements.clear()
        head = flask_client.head(f"{path}?format=csv")
        assert (head.status_code, head.get_data()) == (200, b"")
        assert headers_of(head) == headers_of(got)
        assert not any(view in statement for statement in statements)
    assert flask_client.head(f"{GROUPS}/nobody/gaps?format=csv").status_code == 404


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


def test_the_accept_header_selects_the_format(flask_client: FlaskClient) -> None:
    for accept, mimetype in ACCEPTED:
        assert flask_client.get(GROUPS, headers={"Accept": accept}).mimetype == mimetype


@pytest.mark.parametrize(("export_format", "mimetype"), [("json", "application/json"), ("csv", "text/csv")])
def test_the_format_parameter_overrides_the_accept_header(
    flask_client: FlaskClient, export_format: str, mimetype: str
) -> None:
    for accept in ("application/x-ndjson", "text/html"):
        response = flask_client.get(f"{GROUPS}?format={export_format}", headers={"Accept": accept})
        assert (response.status_code, response.mimetype) == (200, mimetype)


def test_pages_keep_the_format(client: Client, recording: Recording) -> None:
    for name in ("a", "b", "c"):
        recording.watch(name)
    pages = client.pages(f"{GROUPS}?format=json&limit=1")
    assert len(pages) == 3 and "format=json" in pages[0]["next"]
    without = pages[0]["next"].replace("format=json&", "")
    assert client.get(GROUPS + without)["items"] == pages[1]["items"]


@pytest.mark.ledger(fill=populate)
def test_samples_are_available_as_json(client: Client) -> None:
    address = f"{GROUP}/history?step=60"
    assert client.get(f"{address}&format=json") == client.get(address)


@pytest.mark.ledger(fill=populate)
@pytest.mark.parametrize("headers", [{}, {"Accept": "text/csv"}])
def test_parameters_that_exports_do_not_support_are_refused(
    flask_client: FlaskClient, headers: dict[str, str]
) -> None:
    suffix = "" if headers else "&format=csv"
    for address, locations in (
        (f"{GROUPS}?limit=5&cursor=x&count=true&phase=done", ["limit", "cursor", "count", "phase"]),
        (f"{GROUP}/history?step=60&kind=gap,status", ["step", "kind"]),
        (f"{GROUP}/gaps?limit=1000", ["limit"]),
    ):
        response = flask_client.get(address + suffix, headers=headers)
        assert response.status_code == 422
        assert [error["location"] for error in response.get_json()["errors"]] == locations
    assert "ask for json" in response.get_json()["detail"]


def test_unknown_and_unacceptable_formats(flask_client: FlaskClient) -> None:
    for address in (GROUPS, f"{GROUP}/history", f"{GROUP}/gaps", f"{GROUP}/completion"):
        response = flask_client.get(f"{address}?format=xlsx", headers={"Accept": "text/html"})
        assert response.status_code == 422
        assert response.get_json()["detail"] == "format is not one of json, csv, ndjson"
        refused = flask_client.get(address, headers={"Accept": "text/html"})
        assert refused.status_code == 406
        assert "application/json, text/csv or application/x-ndjson" in refused.get_json()["detail"]
    assert flask_client.get("/api/v1/completion?format=csv").status_code == 422
    assert flask_client.get("/api/v1/completion", headers={"Accept": "text/csv"}).status_code == 406


@pytest.mark.ledger(fill=populate)
@pytest.mark.parametrize("export_format", ["csv", "ndjson"])
def test_parameters_at_their_defaults_are_accepted(flask_client: FlaskClient, export_format: str) -> None:
    plain = flask_client.get(f"{GROUPS}?format={export_format}").get_data()
    with_defaults = flask_client.get(f"{GROUPS}?late=false&count=false&limit=100&format={export_format}")
    assert (with_defaults.status_code, with_defaults.get_data()) == (200, plain)
