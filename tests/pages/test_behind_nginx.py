"""The dashboard and the API below a path of nginx, which speaks HTTP/1.0 to them: nothing leads out of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx
import pytest
from sqlalchemy import Engine

from recorder.store.events import publish_events
from recorder.store.transactions import writing
from tests.support.databases import ON_SQLITE
from tests.support.exports import record
from tests.support.forker import Forker
from tests.support.html import Element, read_html
from tests.support.nginx import running_nginx
from tests.support.postgres import free_port
from tests.support.program import Program, wait_until

SECRET = "secret"
DOCUMENTED = Path(__file__).parents[2] / "docs" / "dashboard.md"
ACCEPT = {"Accept": "text/html,*/*;q=0.8"}


def fill(engine: Engine) -> None:
    record(engine)
    with writing(engine) as connection:
        publish_events(connection)


@pytest.fixture
def root(database_url: str, tmp_path: Path, forker: Forker) -> Iterator[str]:
    """The dashboard's address at nginx, with the configuration that the documentation gives."""
    (locations,) = re.findall(r"```nginx\n(.*?)```", DOCUMENTED.read_text("utf-8"), re.DOTALL)
    port = free_port()
    checkpoints, folder = tmp_path / "checkpoints", tmp_path / "nginx"
    checkpoints.mkdir()
    folder.mkdir()
    program = Program(tmp_path, forker).using(
        RECORDER_DATABASE_URL=database_url,
        RECORDER_API_PORT=str(port),
        RECORDER_API_TOKENS=f"ada:{hashlib.sha256(SECRET.encode()).hexdigest()}",
        RECORDER_CHECKPOINT_DIR=str(checkpoints),
    )
    with program.start("serve") as running:
        running.wait_for("dashboard at")
        with running_nginx(locations.replace(":8000/", f":{port}/"), folder) as address:
            wait_until(lambda: httpx.get(f"{address}/ledger/healthz").is_success or None, "an answer")
            yield f"{address}/ledger/"
        assert running.stop() == 0


def addresses_on(page: Element) -> Iterator[str]:
    for element in page.all():
        for name in ("href", "src", "action"):
            address = element.attributes.get(name, "")
            if address and not address.startswith(("#", "data:")):
                yield address


def shape(address: str) -> tuple[str, tuple[str, ...]]:
    """Return by what addresses are told apart: zoomed charts and filters link to more and more of them."""
    parts = urlsplit(address)
    return parts.path, tuple(sorted({name for name, _ in parse_qsl(parts.query)}))


@ON_SQLITE
@pytest.mark.ledger(fill=fill)
def test_nothing_points_outside_of_the_prefix(root: str, tmp_path: Path) -> None:
    with httpx.Client(auth=("anybody", SECRET), timeout=60) as client:
        check_pages(client, root)
        check_api(client, root)
    asked = (tmp_path / "nginx" / "access.log").read_text().splitlines()
    outside = {line for line in asked if not line.startswith("/ledger")}
    assert outside == {"/outside 404"}


def check_pages(client: httpx.Client, root: str) -> None:
    """Follow every link on every page, and what the pages load, and ask for all of it conditionally."""
    waiting, known, kinds = [root], {shape(root)}, set()
    while waiting:
        address = waiting.pop()
        response = client.get(address, headers=ACCEPT)
        assert response.status_code == 200, (address, response.text)
        kinds.add(response.headers["Content-Type"].partition(";")[0])
        if "ETag" in response.headers and not response.headers["Content-Type"].startswith("text/csv"):
            again = client.get(address, headers={**ACCEPT, "If-None-Match": response.headers["ETag"]})
            assert (again.status_code, again.content) == (304, b""), address
        if not response.headers["Content-Type"].startswith("text/html"):
            continue
        page = read_html(response.text)
        for target in addresses_on(page):
            whole = urljoin(address, target)
            assert whole.startswith(root), (address, target)
            if shape(whole) not in known:
                known.add(shape(whole))
                waiting.append(whole)
        for line in re.findall(r"https?://[^\s']+", page.text):
            assert line.startswith(root), (address, line)
    assert kinds >= {"text/html", "text/css", "text/javascript", "text/csv", "application/x-ndjson"}
    visited = {path.removeprefix("/ledger/") for path, _ in known}
    assert visited >= {"", "completion", "gaps", "events", "audit", "docs", "openapi.json", "groups/one"}
    audit = read_html(client.get(f"{root}audit", headers=ACCEPT).text)
    assert "There is none in RECORDER_CHECKPOINT_DIR yet" in audit.text


def check_api(client: httpx.Client, root: str) -> None:
    """Ask without a token, page through lists, and export."""
    refused = httpx.get(root, headers=ACCEPT)
    assert refused.status_code == 401
    assert any(offer.startswith("Basic ") for offer in refused.headers.get_list("WWW-Authenticate"))
    to_root = client.get(root.rstrip("/"))
    assert (to_root.status_code, to_root.headers["Location"]) == (301, "/ledger/")
    for path in ("api/v1/groups", "api/v1/groups/one/history"):
        whole = client.get(f"{root}{path}").json()["items"]
        page = client.get(f"{root}{path}?limit=1")
        found = page.json()["items"]
        while (following := page.json()["next"]) is not None:
            assert page.links["next"]["url"] == following
            address = urljoin(str(page.url), following)
            assert address.startswith(f"{root}{path}?")
            page = client.get(address)
            found += page.json()["items"]
        assert found == whole and len(found) > 2
    (server,) = client.get(f"{root}openapi.json").json()["servers"]
    assert urljoin(f"{root}openapi.json", server["url"]).rstrip("/") + "/" == root
    for end, heading in (("ndjson", 0), ("csv", 1)):
        export = client.get(f"{root}api/v1/groups/one/history.{end}", headers={"Accept-Encoding": "gzip"})
        # For HTTP/1.0 an export has a length, by which a cut one can be told.
        assert int(export.headers["Content-Length"]) == len(export.content)
        assert "Content-Encoding" not in export.headers
        assert int(export.headers["X-Total-Items"]) == len(export.text.splitlines()) - heading > 2
    page = client.get(root, headers={**ACCEPT, "Accept-Encoding": "gzip"})
    assert page.headers["Content-Encoding"] == "gzip"
