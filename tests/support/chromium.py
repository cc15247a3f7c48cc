"""Chromium for tests, driven by Playwright, and a server that it can ask."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect, sync_playwright
from werkzeug.serving import WSGIRequestHandler, make_server

TIMEOUT_SECONDS = 60
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the Chromium of this machine during the block."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.fail("tests of the pages need Chromium; on Debian: apt-get install chromium", pytrace=False)
    # A browser that shares a busy machine with other tests is slow; no test waits for this long otherwise.
    expect.set_options(timeout=TIMEOUT_SECONDS * 1000)
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


class _QuietHandler(WSGIRequestHandler):
    def log(self, *_: object) -> None:
        pass


@contextmanager
def served(app: Flask, prefix: str = "") -> Iterator[str]:
    """Serve `app` to several connections at once; yields its address, which ends with a slash.

    With a prefix, it is removed from the path of each request, as a proxy in front does.
    """

    def below_prefix(environ: dict[str, Any], start: Any) -> Any:
        path = environ["PATH_INFO"]
        environ["PATH_INFO"] = path.removeprefix(prefix) if path.startswith(f"{prefix}/") else "/outside"
        return app(environ, start)

    target: Any = below_prefix if prefix else app
    server = make_server("127.0.0.1", 0, target, threaded=True, request_handler=_QuietHandler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{prefix}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Visit:
    """A page in a browser whose console must stay silent, and which asks nobody but its server."""

    def __init__(self, browser: Browser, address: str, **options: Any) -> None:
        self.address = address
        self.context = browser.new_context(**{"viewport": {"width": 1100, "height": 800}, **options})
        self.context.set_default_timeout(TIMEOUT_SECONDS * 1000)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.statuses: list[int] = []
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self._check(request.url))
        self.page.on("response", lambda response: self.statuses.append(response.status))

    def open(self, path: str = "") -> Page:
        self.page.goto(self.address + path)
        return self.page

    def close(self) -> None:
        self.context.close()
        assert self.complaints == []

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(text)

    def _check(self, url: str) -> None:
        if not url.startswith((self.address, "data:")):
            self.complaints.append(f"asked {url}")
