"""Parsing and formatting of times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.ledger.timestamps import format_time, parse_time, parse_upstream_time
from tests.support.examples import examples

NOON = datetime(2026, 11, 24, 12, 16, tzinfo=UTC)
OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=OFFSETS)  # noqa: DTZ001

READ = {
    "2026-11-24T12:16:00.000000Z": NOON,
    "2026-11-24T12:16:00Z": NOON,
    "2026-11-24t12:16:00z": NOON,
    "2026-11-24T12:16:00.5Z": NOON + timedelta(milliseconds=500),
    "2026-11-24T12:16:00.000001Z": NOON + timedelta(microseconds=1),
    "2026-11-24T12:16:00.1234567Z": NOON + timedelta(microseconds=123456),
    "2026-11-24T12:16:00.999999999Z": NOON + timedelta(microseconds=999999),
    "2026-11-24T14:16:00+02:00": NOON,
    "2026-11-24T06:46:00-05:30": NOON,
    "2026-11-24T12:16:00-00:00": NOON,
    "2026-11-25T12:15:00+23:59": NOON,
    "2024-02-29T00:00:00Z": datetime(2024, 2, 29, tzinfo=UTC),
    "0001-01-01T00:00:00Z": datetime(1, 1, 1, tzinfo=UTC),
    "9999-12-31T23:59:59.999999Z": datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
    "2016-12-31T23:59:60Z": datetime(2017, 1, 1, tzinfo=UTC),
    "2017-01-01T01:59:60+02:00": datetime(2017, 1, 1, tzinfo=UTC),
}

UNREADABLE = [
    "",
    "now",
    "2026-11-24",
    "12:16:00Z",
    "2026-11-24T12:16:00",
    "2026-11-24T12:16Z",
    "2026-11-24T12:16:00.Z",
    "2026-11-24T12:16:00,5Z",
    "2026-11-24T12:16:00+0200",
    "2026-11-24T12:16:00+02",
    "2026-11-24T12:16:00 Z",
    "2026-11-24T12:16:00+24:00",
    "2026-11-24T12:16:00+02:60",
    "2026-11-24T24:00:00Z",
    "2026-11-24T12:60:00Z",
    "2026-11-24T12:16:61Z",
    "2026-02-29T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-10T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59-01:00",
    "9999-12-31T23:59:60Z",
    "12026-11-24T12:16:00Z",
    "2026-W48-2T12:16:00Z",
    "2026-W17-4",
    "20261124T121600Z",
    "1764000000",
    " 2026-11-24T12:16:00Z",
    "2026-11-24T12:16:00Z\n",
    "2026-11-24T12:16:00Z\0",
    "٢٠٢٦-11-24T12:16:00Z",
    "2026-11-24T12:16:00\N{MINUS SIGN}02:00",
]


@pytest.mark.parametrize(("text", "instant"), READ.items())
def test_parse(text: str, instant: datetime) -> None:
    assert parse_time(text) == instant
    assert parse_time(text).utcoffset() == timedelta()
    assert parse_upstream_time(text) == instant


@pytest.mark.parametrize("text", UNREADABLE)
def test_parse_invalid(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text)
    assert parse_upstream_time(text) is None


@pytest.mark.parametrize("value", [None, 0, 1764000000, 1.5, True, [], {}, ["2026-11-24T12:16:00Z"]])
def test_parse_upstream_value_that_is_not_text(value: object) -> None:
    assert parse_upstream_time(value) is None


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (NOON, "2026-11-24T12:16:00.000000Z"),
        (NOON + timedelta(microseconds=1), "2026-11-24T12:16:00.000001Z"),
        (NOON.astimezone(timezone(timedelta(hours=-5))), "2026-11-24T12:16:00.000000Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000000Z"),
        (datetime(9999, 12, 31, 23, 59, 59, 999999, UTC), "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_format(instant: datetime, text: str) -> None:
    assert format_time(instant) == text


@settings(max_examples=examples(2), deadline=None)
@given(MOMENTS)
def test_round_trip(instant: datetime) -> None:
    assert parse_time(format_time(instant)) == instant


@settings(max_examples=examples(2), deadline=None)
@given(MOMENTS)
def test_parse_isoformat_with_an_offset(instant: datetime) -> None:
    assert parse_time(instant.isoformat()) == instant


@settings(max_examples=examples(2), deadline=None)
@given(MOMENTS, MOMENTS)
def test_texts_sort_like_instants(one: datetime, two: datetime) -> None:
    assert (format_time(one) < format_time(two)) == (one < two)
