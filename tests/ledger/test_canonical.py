"""The canonical form is the same as that of an RFC 8785 implementation."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from recorder.ledger.canonical import NotCanonicalError, canonical, plain_form

EDGES = [2**53 - 1, -(2**53) + 1, 0, -1]
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([1e16, 1e-7, 1e300, -0.0, 1.0])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["\0", "\x1f\x7f", "\u2028", '"\\/\b\f\n\r\t', "\N{GRINNING FACE}", "\ue000"]
)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.sampled_from(EDGES) | TEXTS
NAMES = st.text(st.characters(codec="ascii"), max_size=4) | TEXTS


def values(scalars: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
        max_leaves=12,
    )


@given(values(SCALARS | FLOATS))
def test_the_form_follows_rfc_8785(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@given(values(SCALARS | FLOATS | st.integers()))
def test_a_plain_form_is_canonical_and_survives_a_round_trip(value: Any) -> None:
    form = plain_form(value)
    if form is not None:
        assert form == rfc8785.dumps(value)
        assert repr(json.loads(form)) == repr(_sorted(value))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def test_most_values_are_plain() -> None:
    assert plain_form({"b": [1, True, None, "é"], "a": {}}) == '{"a":{},"b":[1,true,null,"é"]}'.encode()


@pytest.mark.parametrize(
    "value",
    [
        2**53,
        -(2**53),
        1.5,
        1.0,
        float("nan"),
        {"é": 1},
        {"a": [2.0]},
        {"a": {"b": 2**53}},
        "\udcff",
        [["\ud800"]],
    ],
)
def test_other_values_are_not_plain(value: Any) -> None:
    assert plain_form(value) is None


@pytest.mark.parametrize("value", [2**53, float("nan"), float("inf"), "\udcff", {"\ud800": 1}, b"x"])
def test_values_without_a_canonical_form_are_refused(value: Any) -> None:
    for nested in (value, [value], {"a": value}):
        with pytest.raises(NotCanonicalError):
            canonical(nested)


def test_a_known_form_is_used_unchanged() -> None:
    assert canonical({"b": orjson.Fragment(b'{"x":1}'), "a": 1}) == b'{"a":1,"b":{"x":1}}'
