"""A client that asks for pages as a browser does, and checks what holds for each of them."""

from __future__ import annotations

from flask import Flask
from werkzeug.test import TestResponse

from tests.support.html import Element, read_html

ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
PAGES = ("/", "/completion", "/gaps", "/events", "/audit")


class Browser:
    def __init__(self, app: Flask) -> None:
        self._client = app.test_client()

    def respond(self, address: str, **headers: str) -> TestResponse:
        """Send a request; underscores in the names of headers stand for hyphens."""
        renamed = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._client.get(address, headers={"Accept": ACCEPT, **renamed}, buffered=True)

    def get(self, address: str, status: int = 200, **headers: str) -> Element:
        """Return the page at an address, which loads and runs nothing but files of ours."""
        response = self.respond(address, **headers)
        text = response.get_data(as_text=True)
        assert response.status_code == status, text
        assert response.mimetype == "text/html"
        assert response.headers["Content-Security-Policy"] == POLICY
        page = read_html(text)
        check_page(page)
        return page

    def json(self, address: str) -> object:
        response = self._client.get(address)
        assert response.status_code == 200, response.get_data(as_text=True)
        return response.get_json()


def check_page(page: Element) -> None:
    """Check that a page obeys its own policy, and that its links hold below any prefix."""
    for element in page.all():
        assert "style" not in element.attributes and element.tag != "style", element
        assert not any(name.startswith("on") for name in element.attributes), element
        for name in ("href", "src", "action"):
            address = element.attributes.get(name, "")
            assert not address.startswith(("/", "http:", "https:", "javascript:")), address
    for script in page.all("script"):
        assert script.attributes["src"] and not script.text
    ids = [element.attributes["id"] for element in page.all() if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for chart in page.all("svg", lambda svg: svg.attributes.get("role") == "img"):
        small = chart.attributes.get("aria-label")
        assert small or page.with_id(chart.attributes["aria-labelledby"]).text
        assert page.all("table")
