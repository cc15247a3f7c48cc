"""Columns and `extra` together represent a response body exactly."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder.ledger.body_columns import decode, decode_value, extra_of
from recorder.ledger.response_body import ResponseBody, parse_body
from recorder.ledger.status_fields import RUN_STATUSES, StatusFields, read_body
from tests.support.bodies import ABSENT, GROUP, body_value, parsed, status_value
from tests.support.examples import examples

SAFE = 2**53 - 1

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["\0", "a\0b", "�", "\\u0000", "\N{GRINNING FACE}", "�\0", '"', "\x7f", "\u2028"]
)
INTEGERS = st.integers(-3, 5) | st.integers(-SAFE, SAFE)
NUMBERS = INTEGERS | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
HUGE = st.integers(2**53, 2**70) | st.integers(-(2**70), -(2**53)) | st.just(10**450)
TIMES = st.sampled_from(
    [
        "2026-11-24T12:16:00.000000Z",
        "2026-11-24T12:16:00Z",
        "2026-11-24T12:16:00.123456789Z",
        "2026-11-24T14:16:00.000000+02:00",
        "2026-11-24t12:16:00.000000z",
        "2016-12-31T23:59:60Z",
        "0001-01-01T00:00:00+05:00",
        "2026-11-24",
        "yesterday",
        "",
    ]
)


def _member(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A member with its usual values, or null, absent, or any other value."""
    return st.one_of(usual, usual, usual, st.none(), st.just(ABSENT), VALUES)


def _bodies(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    counts = st.dictionaries(
        st.sampled_from([*RUN_STATUSES, "paused"]) | TEXTS, INTEGERS | values, max_size=6
    )
    status = st.builds(
        lambda unknown, known: unknown | status_value(**known),
        st.dictionaries(TEXTS, values, max_size=2),
        st.fixed_dictionaries(
            {
                "num_task_runs": _member(st.integers(0, 9)),
                "task_run_status_counts": _member(counts),
                "is_active": _member(st.booleans()),
                "status_message": _member(TEXTS),
                "modified_at": _member(TIMES),
            }
        ),
    )
    return st.builds(
        lambda unknown, status, known: unknown | body_value(status, **known),
        st.dictionaries(TEXTS, values, max_size=2),
        status,
        st.fixed_dictionaries(
            {
                "taskgroup_id": _member(st.just(GROUP)),
                "metadata": _member(st.dictionaries(TEXTS, values, max_size=3)),
                "created_at": _member(TIMES),
            }
        ),
    )


def _encoded(body: ResponseBody) -> tuple[StatusFields, str | None]:
    fields = read_body(body)
    return fields, extra_of(GROUP, body, fields)


def _rebuilt(body: ResponseBody) -> ResponseBody:
    """Encode a body and decode it again; all text in between must be storable in a database."""
    fields, extra = _encoded(body)
    _assert_storable(fields, extra)
    rebuilt = decode(GROUP, fields, extra)
    assert rebuilt == body
    assert read_body(rebuilt) == fields
    value = decode_value(GROUP, fields, extra)
    assert value == body.value
    if body.exact:
        assert rfc8785.dumps(value) == rfc8785.dumps(body.value)
    return rebuilt


def _assert_storable(fields: StatusFields, extra: str | None) -> None:
    for text in (fields.status_message, fields.metadata, extra):
        if text is not None:
            assert "\0" not in text
            text.encode()
    for count in (fields.num_task_runs, *fields.counts):
        assert count is None or -(2**63) <= count < 2**63
    if fields.metadata is not None:
        assert not _has_nul(json.loads(fields.metadata))


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_nul(part) for member in value.items() for part in member)
    if isinstance(value, list):
        return any(_has_nul(item) for item in value)
    return isinstance(value, str) and "\0" in value


@pytest.mark.slow
@settings(max_examples=examples(4), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_bodies(VALUES), st.booleans())
def test_any_body_is_rebuilt(value: dict[str, Any], escaped: bool) -> None:
    raw = json.dumps(value, ensure_ascii=escaped).encode()
    rebuilt = _rebuilt(parse_body(raw))
    if rebuilt.text is None:
        assert rfc8785.dumps(rebuilt.value) == rfc8785.dumps(json.loads(raw))
    else:
        assert rebuilt.text.encode() == raw


@pytest.mark.slow
@settings(max_examples=examples(2), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_bodies(VALUES | HUGE), HUGE)
def test_body_with_an_inexact_number_is_rebuilt_byte_for_byte(value: dict[str, Any], huge: int) -> None:
    raw = json.dumps(value | {"huge": huge}, indent=1).encode()
    rebuilt = _rebuilt(parse_body(raw))
    assert rebuilt.text is not None
    assert rebuilt.text.encode() == raw


@settings(max_examples=examples(0.5), deadline=None)
@given(
    st.integers(1, 197), st.sampled_from(["list", "object", "mixed"]), st.sampled_from(["body", "metadata"])
)
def test_deep_body_is_rebuilt(depth: int, shape: str, where: str) -> None:
    value: Any = 1.5
    for level in range(depth):
        value = [value] if shape == "list" or (shape == "mixed" and level % 2) else {"é": value}
    raw = json.dumps(
        body_value(**({"deep": value} if where == "body" else {"metadata": {"m": value}}))
    ).encode()
    assert rfc8785.dumps(_rebuilt(parse_body(raw)).value) == rfc8785.dumps(json.loads(raw))


@pytest.mark.parametrize(
    "value",
    [
        body_value(),
        body_value(metadata=None),
        body_value(created_at=None),
        body_value(metadata={"s": "a", "i": 1, "n": 1.5, "b": True}),
        body_value(status_value(status_message="3 runs", modified_at=None)),
        body_value(status_value(task_run_status_counts={})),
        body_value(status_value(task_run_status_counts=dict.fromkeys(RUN_STATUSES, 0))),
        body_value(status_value(task_run_status_counts={"completed": 0, "failed": 7})),
    ],
)
def test_usual_body_needs_no_extra(value: dict[str, Any]) -> None:
    body = parsed(value)
    fields, extra = _encoded(body)
    assert extra is None
    assert decode(GROUP, fields, None) == body


NEARLY_ALIKE = [
    body_value(),
    body_value(metadata=None),
    body_value(metadata=ABSENT),
    body_value(metadata={}),
    body_value(metadata=[]),
    body_value(metadata={"team": "a", "n": 1}),
    body_value(metadata={"team": "a", "n": True}),
    body_value(metadata={"team": "a", "n": "1"}),
    body_value(created_at="2026-11-24T11:00:00Z"),
    body_value(created_at="2026-11-24T12:00:00.000000+01:00"),
    body_value(created_at=None),
    body_value(created_at=ABSENT),
    body_value(taskgroup_id="tgrp_2"),
    body_value(taskgroup_id=None),
    body_value(taskgroup_id=ABSENT),
    body_value(new_field=None),
    body_value(status_value(new_field=None)),
    body_value(status_value(is_active=1)),
    body_value(status_value(is_active=False)),
    body_value(status_value(is_active=0)),
    body_value(status_value(is_active=None)),
    body_value(status_value(is_active=ABSENT)),
    body_value(status_value(num_task_runs=0)),
    body_value(status_value(num_task_runs=None)),
    body_value(status_value(num_task_runs=ABSENT)),
    body_value(status_value(num_task_runs=True)),
    body_value(status_value(num_task_runs="3")),
    body_value(status_value(num_task_runs=3.5)),
    body_value(status_value(num_task_runs=-3)),
    body_value(status_value(task_run_status_counts=ABSENT)),
    body_value(status_value(task_run_status_counts=None)),
    body_value(status_value(task_run_status_counts={})),
    body_value(status_value(task_run_status_counts=[])),
    body_value(status_value(task_run_status_counts={"running": 2})),
    body_value(status_value(task_run_status_counts={"running": 2, "completed": 1, "failed": 0})),
    body_value(status_value(task_run_status_counts={"running": 2, "completed": 1, "failed": None})),
    body_value(status_value(task_run_status_counts={"running": 2, "completed": True})),
    body_value(status_value(task_run_status_counts={"running": 2, "completed": 1, "paused": 0})),
    body_value(status_value(status_message="")),
    body_value(status_value(status_message="\0")),
    body_value(status_value(status_message="�")),
    body_value(status_value(status_message=ABSENT)),
    body_value(status_value(modified_at="2026-11-24T11:59:00.0000000Z")),
]


def test_similar_bodies_stay_distinct() -> None:
    forms = {rfc8785.dumps(_rebuilt(parsed(value)).value) for value in NEARLY_ALIKE}
    assert forms == {rfc8785.dumps(value) for value in NEARLY_ALIKE}
    assert len(forms) == len(NEARLY_ALIKE)
    assert len({parsed(value).fingerprint for value in NEARLY_ALIKE}) == len(NEARLY_ALIKE)


@pytest.mark.parametrize("literal", ["1", "1.0", "10e-1"])
def test_spellings_of_a_number_have_the_same_value(literal: str) -> None:
    raw = f'{{"taskgroup_id":"{GROUP}","status":{{"num_task_runs":{literal}}}}}'.encode()
    body = parse_body(raw)
    fields, extra = _encoded(body)
    assert fields.num_task_runs == 1
    assert rfc8785.dumps(decode(GROUP, fields, extra).value) == rfc8785.dumps(json.loads(raw))


BROKEN_EXTRAS = [
    "",
    "{",
    "1",
    "null",
    "[]",
    '"text"',
    '{"text":1}',
    '{"text":"no body"}',
    '{"body":{"drop":["status"]}}',
    '{"body":{"set":{"status":null}}}',
    '{"body":[]}',
    '{"status":{"set":[1]}}',
    '{"status":{"set":{"task_run_status_counts":null}},"counts":{"set":{"failed":1}}}',
]


@pytest.mark.parametrize("extra", BROKEN_EXTRAS)
def test_invalid_extra_is_a_value_error(extra: str) -> None:
    fields, _ = _encoded(parsed(body_value()))
    with pytest.raises(ValueError):
        decode(GROUP, fields, extra)
