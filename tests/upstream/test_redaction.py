"""The detail of a failure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.upstream.redaction import MAX_CHARACTERS, plain_detail

SECRET = "sk-secret-0123"


@given(st.text(max_size=300), st.text(max_size=300))
def test_a_detail_is_short_printable_ascii_without_the_secret(before: str, after: str) -> None:
    detail = plain_detail(before + SECRET + after, SECRET)
    assert len(detail) <= MAX_CHARACTERS
    assert detail.isascii()
    assert detail.isprintable()
    assert SECRET not in detail


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("429 Too Many Requests", "429 Too Many Requests"),
        ("two\r\n  lines\t ", "two lines"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\u00fcber \U0001f600", r"\xfcber \U0001f600"),
        ("lone \ud800", r"lone \ud800"),
        (r"C:\n", r"C:\\n"),
        (f"{SECRET} and {SECRET}", "[redacted] and [redacted]"),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 197 + "..."),
    ],
)
def test_unprintable_text_is_escaped_and_long_text_is_cut(text: str, detail: str) -> None:
    assert plain_detail(text, SECRET) == detail


def test_without_a_secret_nothing_is_redacted() -> None:
    assert plain_detail("as it is", "") == "as it is"
