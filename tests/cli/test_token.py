"""`recorder token`: the token and what to keep of it, which is nothing that could be sent."""

from __future__ import annotations

from hashlib import sha256

import pytest

from tests.support.program import Program


def test_the_token_is_printed_with_what_the_setting_takes(bare: Program) -> None:
    result = bare.run("token", "ada.lovelace-2")
    secret, token = result.out.splitlines()
    assert result.status == 0
    assert token == f"ada.lovelace-2:{sha256(secret.encode()).hexdigest()}"
    assert len(secret) >= 40 and secret.isascii() and " " not in secret
    assert "RECORDER_API_TOKENS" in result.err
    assert secret not in result.err and token not in result.err


def test_no_two_are_the_same_and_nothing_is_kept(bare: Program) -> None:
    assert bare.run("token", "ada").out != bare.run("token", "ada").out
    assert list(bare.folder.iterdir()) == []


def test_it_needs_no_settings_not_even_good_ones(bare: Program) -> None:
    assert bare.using(RECORDER_API_TOKENS="ada", RECORDER_RATE="0").run("token", "ada").status == 0


@pytest.mark.parametrize("name", ["", "a,b", "a:b", "two words", ".a", "a" * 65, "zoë", "a\nb"])
def test_a_name_that_would_not_stand_in_the_setting_is_refused(bare: Program, name: str) -> None:
    line = bare.run("token", name).wrong_usage()
    assert "NAME" in line and "1 to 64 letters, digits, dots, hyphens and underscores" in line


def test_it_takes_one_name(bare: Program) -> None:
    assert "NAME" in bare.run("token").wrong_usage()
    assert "bob" in bare.run("token", "ada", "bob").wrong_usage()
