"""Requests are signed as the other side's library expects."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from recorder.notify.events import Event, EventType
from recorder.notify.standard_webhooks import signing_key, webhook_body, webhook_headers
from tests.support.ledgers import time

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


def event(**data: object) -> Event:
    return Event(EventType.SETTLED, "1", time(10), "tgrp_1", 3, data)


def verified(secret: str, body: bytes, headers: dict[str, str]) -> object:
    return Webhook(secret).verify(body, headers)


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.booleans() | st.none()))
def test_the_other_side_verifies_it(data: dict[str, object]) -> None:
    body = webhook_body(event(**{f"x{name}": value for name, value in data.items()}))
    headers = webhook_headers(signing_key(SECRET), "17", body, datetime.now(UTC))
    members = verified(SECRET, body, headers)
    assert members == json.loads(body)
    assert list(json.loads(body)) == ["type", "timestamp", "data"]
    assert headers["webhook-id"] == "17"


def test_the_example_of_the_specification() -> None:
    """From the test vectors of its libraries."""
    body = b'{"test": 2432232314}'
    now = datetime.fromtimestamp(1614265330, UTC)
    headers = webhook_headers(signing_key(SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", body, now)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-timestamp"] == "1614265330"


def test_the_body() -> None:
    assert json.loads(webhook_body(event(number=1))) == {
        "type": "group.settled",
        "timestamp": "2026-11-24T12:00:10.000000Z",
        "data": {"number": 1},
    }


@pytest.mark.parametrize("what", ["secret", "body", "id", "time"])
def test_the_other_side_notices_a_change(what: str) -> None:
    body, now = webhook_body(event()), datetime.now(UTC)
    old = now - timedelta(minutes=6) if what == "time" else now
    headers = webhook_headers(signing_key(SECRET), "17", body, old)
    if what == "id":
        headers["webhook-id"] = "18"
    with pytest.raises(WebhookVerificationError):
        verified(OTHER if what == "secret" else SECRET, body + b" " * (what == "body"), headers)
