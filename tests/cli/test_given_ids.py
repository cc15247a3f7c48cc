"""Ids as people give them: what is taken, what is refused and in which words, and what a text yields."""

from __future__ import annotations

import pytest

from recorder.cli.given_ids import GivenIds, check_given, unusual_text

WHOLE = "tgrp_0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("text", [WHOLE, f"  {WHOLE}\n", f"\N{NO-BREAK SPACE}{WHOLE}"])
def test_white_space_around_an_id_is_trimmed(text: str) -> None:
    assert check_given(text) == WHOLE


REFUSED = {
    "tgrp_1 tgrp_2": "white space",
    "tgrp_1\ntgrp_2": "white space",
    "tgrp_1\N{NO-BREAK SPACE}tgrp_2": "white space",
    "tgrp_a,tgrp_b": "a comma",
    '"tgrp_q"': "a quotation mark",
    "'tgrp_q'": "a quotation mark",
    "\N{LEFT DOUBLE QUOTATION MARK}tgrp_q": "a quotation mark",
    "tgrp_…": "an ellipsis",
    "tgrp_12...": "an ellipsis",
    "tgrp_\x07": "cannot be printed",
    "tgrp_\N{ZERO WIDTH SPACE}": "cannot be printed",
    "": "is empty",
    "  ": "is empty",
    "https://host/tasks/groups/tgrp_1": "contains '/'",
}


@pytest.mark.parametrize(("text", "words"), REFUSED.items())
def test_slips_are_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_given(text)


TEXTS: dict[str, list[str]] = {
    "no id, and the placeholder tgrp_… of the README": [],
    f"one ({WHOLE}), two: '{WHOLE}'": [WHOLE],
    f"a sentence ends with {WHOLE}...": [WHOLE],
    f'{{"taskgroup_id":"{WHOLE}"}}\\ntgrp_2\\n': [WHOLE, "tgrp_2"],
    f"{WHOLE}99": [f"{WHOLE}99"],
    f"\x1b[32m{WHOLE}\x1b[0m {WHOLE}_results.json": [WHOLE],
    f"see https://platform.example.com/a/tasks/groups/{WHOLE}. Or tgrp_3.": [WHOLE, "tgrp_3"],
    "GET https://h/v1beta/tasks/groups/a%20b/runs?limit=1": ["a b"],
    "curl https://h/v1/tasks/groups/{taskgroup_id} https://h/v1/tasks/groups/$ID /tasks/groups/x": [],
    "[link](https://h/tasks/groups/tgrp_4) <https://h/tasks/groups/tgrp_5>": ["tgrp_4", "tgrp_5"],
}


@pytest.mark.parametrize(("text", "ids"), TEXTS.items())
def test_ids_in_a_text(text: str, ids: list[str]) -> None:
    given = GivenIds()
    given.add_text([text])
    assert (list(given.ids), given.complaints) == (ids, [])


@pytest.mark.parametrize("text", ["tgrp_12ab…", "tgrp_12ab...", "https://h/tasks/groups/tgrp_12ab…"])
def test_an_id_that_was_cut_short_is_a_complaint(text: str) -> None:
    given = GivenIds()
    given.add_text([f"see {text} there"])
    assert given.ids == {}
    assert ["cut short" in complaint for complaint in given.complaints] == [True]


UNUSUAL = [
    ([WHOLE], None),
    (["a"], "'a' does not look"),
    ([WHOLE, "a", "b", "ü"], "'a', 'b', '\\xfc' do not look"),
    (list("abcde"), "'a', 'b', 'c' and 2 more do not look"),
    ([WHOLE.upper()], f"'{WHOLE.upper()}' does not look"),
    ([WHOLE[:-1]], f"'{WHOLE[:-1]}' does not look"),
]


@pytest.mark.parametrize(("ids", "words"), UNUSUAL)
def test_the_warning_about_unusual_ids(ids: list[str], words: str | None) -> None:
    warning = unusual_text(ids)
    assert warning is words is None or str(warning).startswith(str(words))
