"""The messages on the page about troubleshooting are messages of the program."""

from __future__ import annotations

import re

import pytest

from tests.support.pages import ROOT, page

_JOINT = re.compile(r'"\s*\n\s*f?"')
_PLACE = re.compile(r"\{[^{}]*\}")


def _source() -> str:
    """Return the program's text with the parts of each message joined, and its values as ellipses."""
    files = (path for folder in ("recorder", "api") for path in sorted((ROOT / folder).rglob("*.py")))
    return _PLACE.sub("…", _JOINT.sub("", "\n".join(path.read_text("utf-8") for path in files)))


SOURCE = _source()
MESSAGES = [
    message
    for line in page("docs/troubleshooting.md").splitlines()
    if line.startswith("|")
    for message in re.findall(r"`([^`]+)`", line.split("|")[1])
]


@pytest.mark.parametrize("message", MESSAGES)
def test_it_is_a_message_of_the_program(message: str) -> None:
    fragments = [part.strip(" '") for part in message.split("…")]
    assert all(part in SOURCE for part in fragments if part), fragments
