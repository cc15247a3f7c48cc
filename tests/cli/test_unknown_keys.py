"""A metadata key that no group has is a slip more often than a question."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from tests.support.databases import ON_SQLITE
from tests.support.program import Program
from tests.support.recording import Recording, active

pytestmark = [ON_SQLITE]


def _record(engine: Engine) -> None:
    recording = Recording(engine)
    recording.watch("tgrp_1")
    recording.see("tgrp_1", 1, active(running=1), metadata={"customer": "acme", "batch": 7, "tags": ["a"]})


@pytest.mark.ledger(fill=_record)
@pytest.mark.parametrize(
    "arguments",
    [
        ["groups", "--metadata", "custmer=acme"],
        ["groups", "--columns", "note,metadata.custmer"],
        ["completion", "--metadata", "custmer=acme"],
        ["completion", "--compare", "metadata.custmer", "--value", "a", "--than-value", "b"],
    ],
)
def test_it_is_told_with_what_may_have_been_meant(program: Program, arguments: list[str]) -> None:
    result = program.run(*arguments)
    assert (result.status, result.err) == (
        0,
        "no group has custmer in its metadata; did you mean customer?\n",
    )
    assert program.run(*arguments[:1], "--json", *arguments[1:]).err == "" or "--columns" in arguments


@pytest.mark.ledger(fill=_record)
def test_without_a_similar_one_the_keys_are_listed(program: Program) -> None:
    error = program.run("groups", "--metadata", "x\x1b=1").err
    assert error == "no group has x\\x1b in its metadata; the keys are batch, customer\n"


@pytest.mark.ledger(fill=_record)
def test_a_key_that_a_group_has_is_no_slip(program: Program) -> None:
    for arguments in (
        ["groups", "--metadata", "customer=globex"],
        ["groups", "--columns", "metadata.tags"],
        ["completion", "--group-by", "metadata.batch"],
    ):
        assert program.run(*arguments).err == ""
