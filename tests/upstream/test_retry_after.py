"""Parsing of `Retry-After` headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.upstream.retry_after import MAX_RETRY_AFTER_SECONDS, retry_after_seconds
from tests.support.stub_server import response
from tests.upstream.clients import NOON, failure_of


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "2."}, 2.0),
        ({"retry-after": "Tue, 24 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Tuesday, 24-Nov-26 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Tue Nov 24 12:00:30 2026"}, 30.0),
        ({"retry-after": "Tue, 24 Nov 2026 13:00:30 +0100"}, 30.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "3601"}, MAX_RETRY_AFTER_SECONDS),
        ({"retry-after": "9" * 5000}, MAX_RETRY_AFTER_SECONDS),
        ({"retry-after-ms": "9" * 5000}, MAX_RETRY_AFTER_SECONDS),
        ({"retry-after": "Fri, 24 Nov 2127 12:00:00 GMT"}, MAX_RETRY_AFTER_SECONDS),
    ],
)
def test_a_valid_header_is_parsed_and_capped_at_an_hour(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after_seconds(headers, NOON) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *("", "-1", "+1", "nan", "inf", "-inf", "1e3", "0x10", "1,5", "1 2", "soon", "\u0661", "."),
        "Tue, 24 Nov 2026 11:59:59 GMT",
        "Tue, 99 Nov 2026 12:00:00 GMT",
        "Tue, 24 Nov 99999999999 12:00:00 GMT",
        "Tue, 24 Nov 2026 12:00:00 +99999999",
        "Sat, 01 Jan 0001 00:00:00 +2359",
        "2026-11-24T12:01:00Z",
    ],
)
def test_an_invalid_header_is_ignored(text: str) -> None:
    assert retry_after_seconds({"retry-after": text}, NOON) is None


@given(st.text(), st.text())
def test_any_header_is_ignored_or_capped_at_an_hour(milliseconds: str, text: str) -> None:
    seconds = retry_after_seconds({"retry-after-ms": milliseconds, "retry-after": text}, NOON)
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER_SECONDS


@pytest.mark.parametrize("status", ["404 Not Found", "503 Service Unavailable", "302 Found", "201 Created"])
def test_any_failure_with_a_status_has_the_retry_after(status: str) -> None:
    assert failure_of(response(status, b"", "Retry-After: 2.5")).retry_after_seconds == 2.5
