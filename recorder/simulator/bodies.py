"""Bodies of a 200 that are no answer. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from recorder.simulator.json_text import Literal, json_text

Body = dict[str, Any]


def _truncated(truth: Body) -> str:
    text = json_text(truth)
    return text[: len(text) // 2]


def _duplicate_keys(truth: Body) -> str:
    status = json_text(truth["status"])
    opposite = json_text(not truth["status"]["is_active"])
    return json_text({**truth, "status": Literal(f'{status[:-1]},"is_active":{opposite}}}')})


def _with_message(truth: Body, literal: str) -> str:
    return json_text({**truth, "status": {**truth["status"], "status_message": Literal(literal)}})


def _no_status(truth: Body) -> str:
    return json_text({name: value for name, value in truth.items() if name != "status"})


BODIES: Mapping[str, tuple[str, Callable[[Body], str]]] = {
    "empty": ("a 200 without any body", lambda _: ""),
    "truncated": ("a 200 with the first half of the JSON, whole as HTTP", _truncated),
    "duplicate_keys": ("a 200 that says `is_active` twice, once so and once so", _duplicate_keys),
    "lone_surrogate": (
        "a 200 with half of a surrogate pair, escaped, in `status_message`",
        lambda truth: _with_message(truth, '"half a pair: \\ud83d"'),
    ),
    "not_utf8": (
        "a 200 with a byte in `status_message` that is not UTF-8",
        lambda truth: _with_message(truth, '"a byte: \udcff"'),
    ),
    "json_array": ("a 200 with the group inside an array", lambda truth: json_text([truth])),
    "json_string": ("a 200 with the group inside a JSON string", lambda truth: json_text(json_text(truth))),
    "json_null": ("a 200 with null", lambda _: "null"),
    "no_status": ("a 200 with a group that lacks `status`", _no_status),
    "status_text": (
        "a 200 with a group whose `status` is a text",
        lambda truth: json_text({**truth, "status": "running"}),
    ),
}
"""What a request gets, and the text of it, seen from the true body; U+DC80 to U+DCFF stand for bytes."""
