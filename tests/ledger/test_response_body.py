"""Parsing of response bodies, and the rejection of malformed ones."""

from __future__ import annotations

import pytest
import rfc8785

from recorder.ledger.response_body import MAX_DEPTH, MalformedBodyError, parse_body


def _with(literal: str) -> bytes:
    return b'{"status":{},"x":' + literal.encode() + b"}"


MALFORMED = {
    "empty": b"",
    "blank": b"  \n",
    "html": b"<html><body>502</body></html>",
    "cut": b'{"status":{"num_task_runs":1',
    "trailing comma": b'{"status":{},}',
    "more after it": b'{"status":{}} {}',
    "single quotes": b"{'status':{}}",
    "comment": b'{"status":{}} // fine',
    "byte order mark": b'\xef\xbb\xbf{"status":{}}',
    "utf-16": '{"status":{}}'.encode("utf-16"),
    "not utf-8": b'{"status":{},"x":"\xff"}',
    "surrogate in utf-8": b'{"status":{},"x":"\xed\xa0\x80"}',
    "raw control character": b'{"status":{},"x":"\n"}',
    "raw NUL": b'{"status":{},"x":"\x00"}',
    "NaN": _with("NaN"),
    "Infinity": _with("Infinity"),
    "-Infinity": _with("-Infinity"),
    "NaN deep": b'{"status":{"task_run_status_counts":{"running":NaN}}}',
    "leading zero": _with("01"),
    "plus": _with("+1"),
    "bare point": _with("1."),
    "hexadecimal": _with("0x10"),
    "digits of another script": _with("\N{ARABIC-INDIC DIGIT ONE}"),
    "duplicate key": b'{"status":{},"status":{}}',
    "duplicate key, equal values": b'{"status":{},"x":1,"x":1}',
    "duplicate key in status": b'{"status":{"is_active":true,"is_active":false}}',
    "duplicate key in counts": b'{"status":{"task_run_status_counts":{"failed":1,"failed":2}}}',
    "duplicate key in a list": b'{"status":{},"x":[[{"a":1,"b":2,"a":3}]]}',
    "duplicate key by escape": b'{"status":{},"ab":1,"a\\u0062":2}',
    "duplicate empty key": b'{"status":{},"":1,"":2}',
    "duplicate key beside an inexact number": b'{"status":{},"x":9007199254740993,"a":1,"a":1}',
    "lone high surrogate": b'{"status":{},"x":"\\ud83d"}',
    "lone low surrogate": b'{"status":{},"x":"a\\udc00b"}',
    "surrogates the wrong way round": b'{"status":{},"x":"\\ude00\\ud83d"}',
    "lone surrogate in a key": b'{"status":{},"\\ud800":1}',
    "lone surrogate in a deep key": b'{"status":{"task_run_status_counts":{"\\udfff":1}}}',
    "lone surrogate in a list": b'{"status":{},"x":[{"y":["\\ud800"]}]}',
    "lone surrogate beside an inexact number": b'{"status":{},"x":9007199254740993,"y":"\\ud800"}',
    "lone surrogate key beside an inexact number": b'{"status":{},"x":1e400,"\\ud800":1}',
    "null": b"null",
    "number": b"1",
    "string": b'"status"',
    "array": b'[{"status":{}}]',
    "no status": b'{"taskgroup_id":"tgrp_1"}',
    "status null": b'{"status":null}',
    "status string": b'{"status":"running"}',
    "status array": b'{"status":[]}',
    "status false": b'{"status":false}',
    "status in another case": b'{"Status":{}}',
    "too deep": _with("[" * MAX_DEPTH + "]" * MAX_DEPTH),
    "too deep in objects": _with('{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH),
    "deep beyond any stack": _with("[" * 100_000 + "]" * 100_000),
    "deep and cut": b"[" * 100_000,
    "deep and cut in a string of quotes": b"[" * 1000 + b'"' + b'\\"' * 400_000,
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED.keys())
def test_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedBodyError):
        parse_body(raw)


WELL_FORMED = {
    "least": b'{"status":{}}',
    "white space": b' \t\r\n{ "status" : { } }\n',
    "astral character": '{"status":{},"x":"\N{GRINNING FACE}"}'.encode(),
    "astral character, escaped": b'{"status":{},"x":"\\ud83d\\ude00"}',
    "U+0000": b'{"status":{},"x\\u0000":"\\u0000"}',
    "same key at two levels": b'{"status":{"status":{}},"x":{"x":1}}',
    "keys that differ in case": b'{"status":{},"x":1,"X":1}',
    "brackets in a string": _with('"' + "[{" * 10_000 + '"'),
    "brackets after an escaped quote": _with('"\\"' + "[{" * 10_000 + '\\\\"'),
    "many brackets, not deep": _with("[" + "[]," * 10_000 + "[]]"),
    "as deep as is allowed": _with("[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)),
}


@pytest.mark.parametrize("raw", WELL_FORMED.values(), ids=WELL_FORMED.keys())
def test_is_well_formed(raw: bytes) -> None:
    assert parse_body(raw).exact


EXACT = {
    "0": "0",
    "-0": "0",
    "-0.0": "0",
    "0e5": "0",
    "1": "1",
    "1.0": "1",
    "1.50": "1.5",
    "10e-1": "1",
    "1E2": "100",
    "0.1": "0.1",
    "1e-7": "1e-7",
    "0.000001": "0.000001",
    "5e-324": "5e-324",
    "123.456e2": "12345.6",
    "9007199254740991": "9007199254740991",
    "-9007199254740991": "-9007199254740991",
    "9007199254740991.0": "9007199254740991",
    "9.007199254740991e15": "9007199254740991",
    "1e21": "1e+21",
    "1e300": "1e+300",
    "1.7976931348623157e308": "1.7976931348623157e+308",
}


@pytest.mark.parametrize(("literal", "form"), EXACT.items(), ids=EXACT.keys())
def test_exact_number_is_kept_as_a_value(literal: str, form: str) -> None:
    body = parse_body(_with(literal))
    assert body.exact
    assert body.text is None
    assert rfc8785.dumps(body.value["x"]) == form.encode()


INEXACT = [
    "9007199254740992",
    "-9007199254740992",
    "9007199254740993",
    "18446744073709551616",
    "1" * 5000,
    "9007199254740992.0",
    "9007199254740993.0",
    "9007199254740991.5",
    "1e16",
    "12345678901234567.5",
    "123456789012345678901234.0",
    "1e400",
    "-1e400",
    "1e400000",
    "1e-400",
    "4.9e-324",
    "1.10000000000000000001",
    "0.1000000000000000055511151231257827021181583404541015625",
    "0.30000000000000001",
    "1." + "0" * 30 + "1",
]


@pytest.mark.parametrize("literal", INEXACT, ids=[literal[:30] for literal in INEXACT])
def test_inexact_number_keeps_the_raw_text(literal: str) -> None:
    raw = _with(literal)
    body = parse_body(raw)
    assert not body.exact
    assert body.text == raw.decode()


@pytest.mark.parametrize("literal", ["0e99999999999999999999", "0.0e-99999999999999999999"])
def test_zero_with_an_absurd_exponent_is_zero(literal: str) -> None:
    body = parse_body(_with(literal))
    assert body.exact
    assert body.value["x"] == 0


@pytest.mark.parametrize("literal", ["1e-99999999999999999999", "1e99999999999999999999"])
def test_number_with_an_absurd_exponent_is_inexact(literal: str) -> None:
    assert not parse_body(_with(literal)).exact


def test_raw_text_is_kept_byte_for_byte() -> None:
    raw = (
        ' {"x" : 1E+400 ,\r\n"status":{"b":"\\u00e9\N{GRINNING FACE}\\u0000","a" : 1.0}, "y":-0.0}\n'.encode()
    )
    body = parse_body(raw)
    assert body.text is not None
    assert body.text.encode() == raw


def test_members_of_an_inexact_body_can_be_read() -> None:
    body = parse_body(b'{"status":{"num_task_runs":3,"is_active":true},"x":9007199254740993}')
    assert body.value["status"] == {"num_task_runs": 3, "is_active": True}
    assert body.value["x"] == 9007199254740993


@pytest.mark.parametrize(
    "other",
    [
        b'{"status":{"b":2,"a":1.5},"x":"\\u00e9"}',
        '{ "x":"é", "status":{"a":1.5,"b":2} }'.encode(),
        b'{"status":{"a":15e-1,"b":2.0},"x":"\\u00E9"}',
    ],
)
def test_equal_canonical_forms_have_equal_fingerprints(other: bytes) -> None:
    body = parse_body('{"status":{"a":1.5,"b":2},"x":"é"}'.encode())
    assert parse_body(other).fingerprint == body.fingerprint


def test_different_values_have_different_fingerprints() -> None:
    literals = [
        "0",
        "false",
        "null",
        '""',
        "1",
        "true",
        '"1"',
        "[]",
        "{}",
        "[0]",
        "1.5",
        '"\\u0000"',
        "1e400",
    ]
    absent = parse_body(b'{"status":{}}').fingerprint
    fingerprints = {absent} | {parse_body(_with(literal)).fingerprint for literal in literals}
    assert len(fingerprints) == len(literals) + 1


def test_order_in_a_list_matters() -> None:
    assert parse_body(_with("[1,2]")).fingerprint != parse_body(_with("[2,1]")).fingerprint


def test_inexact_bodies_are_compared_by_their_text() -> None:
    one, two = parse_body(_with("9007199254740993")), parse_body(_with("9007199254740994"))
    assert one.fingerprint != two.fingerprint
    assert one.fingerprint == parse_body(_with("9007199254740993")).fingerprint


def test_error_is_short_and_printable() -> None:
    raw = b'{"status":{},"' + b"\\u001b" * 500 + b'":1,"' + b"\\u001b" * 500 + b'":1}'
    with pytest.raises(MalformedBodyError) as caught:
        parse_body(raw)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
