"""`recorder token`: prints a secret for the client, and its hash for the setting."""

from __future__ import annotations

from hashlib import sha256

import pytest

from tests.support.program import Program


def test_the_secret_and_the_settings_value_are_printed(bare: Program) -> None:
    result = bare.run("token", "ada.lovelace-2")
    secret, token = result.out.splitlines()
    assert result.status == 0
    assert token == f"ada.lovelace-2:{sha256(secret.encode()).hexdigest()}"
    assert len(secret) >= 40 and secret.isascii() and " " not in secret
    assert "RECORDER_API_TOKENS" in result.err
    assert secret not in result.err and token not in result.err


@pytest.mark.parametrize("scope", ["enrol", "probe"])
def test_a_scope_stands_at_the_end(bare: Program, scope: str) -> None:
    secret, token = bare.run("token", "ada", f"--{scope}").out.splitlines()
    assert token == f"ada:{sha256(secret.encode()).hexdigest()}:{scope}"


def test_secrets_are_unique_and_not_stored(bare: Program) -> None:
    assert bare.run("token", "ada").out != bare.run("token", "ada").out
    assert list(bare.folder.iterdir()) == []


def test_settings_are_not_read(bare: Program) -> None:
    assert bare.using(RECORDER_API_TOKENS="ada", RECORDER_RATE="0").run("token", "ada").status == 0


@pytest.mark.parametrize("name", ["", "a,b", "a:b", "two words", ".a", "a" * 65, "zoë", "a\nb"])
def test_a_name_that_the_setting_cannot_hold_is_refused(bare: Program, name: str) -> None:
    line = bare.run("token", name).wrong_usage()
    assert "NAME" in line and "1 to 64 letters, digits, dots, hyphens and underscores" in line


def test_it_takes_one_name(bare: Program) -> None:
    assert "NAME" in bare.run("token").wrong_usage()
    assert "bob" in bare.run("token", "ada", "bob").wrong_usage()
