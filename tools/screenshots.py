"""Write pictures of the dashboard for the documentation, from a demo that runs for half a minute.

The simulated provider is seeded, so the pictures differ from run to run only by how the polls fall.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from urllib.request import urlopen

import orjson
from playwright.sync_api import Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
DEMO_SECONDS = 32
"""By then most groups have settled, and the outage of the demo is over."""
WIDTH = 1100


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    demo = subprocess.Popen(  # noqa: S603 - the program beside this Python
        [Path(sys.executable).with_name("recorder"), "demo"], stdout=subprocess.PIPE, text=True
    )
    try:
        root = _address(demo.stdout or ())
        time.sleep(DEMO_SECONDS)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": WIDTH, "height": 900})
            _picture(page, root, "overview", 760)
            _picture(page, f"{root}groups/{_group_with_a_gap(root)}", "group", 900)
            _picture(page, f"{root}completion?group_by=metadata.processor", "completion", 900)
            browser.close()
    finally:
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=60)


def _address(printed: Iterable[str]) -> str:
    """Return the dashboard's address, which the demo prints first."""
    for line in printed:
        if (found := re.search(r"http://127\.0\.0\.1:\d+/?(?=\s|$)", line)) and "dashboard" in line:
            return found[0].rstrip("/") + "/"
    raise SystemExit("the demo ended without printing the dashboard's address")


def _group_with_a_gap(root: str) -> str:
    """Return the group with the most runs, which was at work during the outage."""
    with urlopen(f"{root}api/v1/groups?limit=1000") as response:  # noqa: S310 - this machine's own address
        items = orjson.loads(response.read())["items"]
    return str(max(items, key=lambda item: item["progress"]["total"] or 0)["taskgroup_id"])


def _picture(page: Page, address: str, name: str, height: int) -> None:
    page.goto(address, wait_until="networkidle")
    page.screenshot(
        path=PICTURES / f"{name}.png", clip={"x": 0, "y": 0, "width": WIDTH, "height": height}, full_page=True
    )


if __name__ == "__main__":
    main()
