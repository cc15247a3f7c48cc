"""Tokens of the API: made, read from the settings, and recognised."""

from __future__ import annotations

from hashlib import sha256

import pytest

from recorder.tokens import Scope, Token, held, new_token, read_tokens


def _token(name: str, secret: str) -> Token:
    return Token(name, sha256(secret.encode()).hexdigest())


def test_a_new_token_is_recognised_by_its_digest_alone() -> None:
    secret, token = new_token("ada")
    other, _ = new_token("ada")
    assert secret != other and len(secret) > 40
    assert token == _token("ada", secret)
    assert secret not in str(token)
    assert read_tokens(str(token)) == (token,)
    assert held([token], [secret]) == token


def test_any_of_several_passes_and_nothing_else() -> None:
    tokens = [_token("ada", "first"), _token("bob", "second")]
    assert held(tokens, ["second"]) == tokens[1]
    assert held(tokens, ["wrong", "first"]) == tokens[0]
    for sent in ([], ["third"], [tokens[0].digest], ["First"], ["\udcff"]):
        assert held(tokens, sent) is None


def test_nothing_is_no_token_even_if_its_digest_is_listed() -> None:
    assert held([_token("ada", "")], [""]) is None


@pytest.mark.parametrize("scope", Scope)
def test_a_scope_is_kept_in_the_list(scope: Scope) -> None:
    _, token = new_token("ada", scope)
    assert token.scope is scope
    assert read_tokens(str(token)) == (token,)
    assert str(token).endswith(f":{scope}") is (scope is not Scope.READ)


def test_of_several_tokens_sent_the_one_good_for_most_counts() -> None:
    secrets, tokens = zip(*(new_token(scope.value, scope) for scope in Scope), strict=True)
    assert held(tokens, secrets) == held(tokens, reversed(secrets)) == tokens[-1]
    assert held(tokens, secrets[:2]) == tokens[1]


def test_a_list_is_read_with_blanks_and_capitals() -> None:
    digest = "AB" * 32
    assert read_tokens(f" ada:{digest} , bob.2:{digest}") == (
        Token("ada", digest.lower()),
        Token("bob.2", digest.lower()),
    )


@pytest.mark.parametrize(
    "text",
    [
        *("", "ada", "ada:", f":{'0' * 64}", "ada:0123", f"ada:{'g' * 64}", f"ada:{'0' * 64},"),
        *(f"a b:{'0' * 64}", f"ada:{'0' * 64}:read", f"ada:{'0' * 64}:enrol:probe"),
    ],
)
def test_what_is_no_list_of_tokens_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="name"):
        read_tokens(text)


def test_names_of_all_allowed_lengths() -> None:
    names = ["a", "7", "a" * 64]
    assert [new_token(name)[1].name for name in names] == names


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="duplicate"):
        read_tokens(f"ada:{'0' * 64},ada:{'1' * 64}")


@pytest.mark.parametrize("name", ["", "a,b", "a:b", "two words", "-a", "a" * 65, "ä", "a\n"])
def test_names_that_would_not_stand_in_a_list_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="allowed"):
        new_token(name)
