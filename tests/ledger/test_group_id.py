"""Valid and invalid ids of groups."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.ledger.group_id import check_taskgroup_id
from tests.support.examples import examples

LETTERS = st.characters(categories=["L", "M", "N", "P", "S"], exclude_characters="/")

NAMES = [
    "tgrp_0123abcd",
    "1",
    "a" * 255,
    "\N{GRINNING FACE}" * 255,
    "with a space",
    "no\u00a0break",
    "wide\u3000space",
    " ",
    " leading and trailing ",
    "...",
    ".a",
    "a..b",
    "~",
    "ünïcödé",
    "日本語",
    "a?b#c%d&e",
    "%2F",
    "..%2f",
    "back\\slash",
    "quote\"and'quote",
    "=1+1",
    "[red]",
]

NOT_NAMES = [
    "",
    ".",
    "..",
    "/",
    "a/b",
    "../x",
    "https://api.example/v1/tasks/groups/tgrp_1",
    "a" * 256,
    "a\nb",
    "a\tb",
    "a\0b",
    "\x1b[31m",
    "\x7f",
    "a\x85b",
    "a\ud800b",
    "a\N{LINE SEPARATOR}b",
    "a\N{RIGHT-TO-LEFT OVERRIDE}b",
]


@pytest.mark.parametrize("text", NAMES)
def test_valid_id(text: str) -> None:
    assert check_taskgroup_id(text) == text


@pytest.mark.parametrize("text", NOT_NAMES, ids=ascii)
def test_invalid_id(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_taskgroup_id(text)
    assert str(caught.value).isprintable()


@settings(max_examples=examples(2), deadline=None)
@given(st.text(LETTERS | st.just(" "), min_size=1, max_size=255))
def test_letters_digits_symbols_and_spaces_are_valid(text: str) -> None:
    if text not in {".", ".."}:
        assert check_taskgroup_id(text) == text


@settings(max_examples=examples(2), deadline=None)
@given(st.text(min_size=1, max_size=20), st.characters(categories=["Cc", "Cs"]))
def test_control_characters_and_surrogates_are_invalid(text: str, character: str) -> None:
    assert unicodedata.category(character) in {"Cc", "Cs"}
    with pytest.raises(ValueError):
        check_taskgroup_id(text + character)
