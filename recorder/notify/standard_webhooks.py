"""Standard Webhooks: the headers and the body of a request, signed so that its receiver can trust it.

See https://www.standardwebhooks.com.
"""

from __future__ import annotations

import binascii
import hmac
import json
from base64 import b64decode, b64encode
from datetime import datetime
from hashlib import sha256

from recorder.ledger.timestamps import format_time
from recorder.notify.events import Event

_PREFIX = "whsec_"
_LEAST_BYTES, _MOST_BYTES = 24, 64


def signing_key(secret: str) -> bytes:
    """Return the key that a secret stands for.

    Raises:
        ValueError: it is not a secret of Standard Webhooks. The text does not repeat it.
    """
    allowed = f"allowed: {_PREFIX} and then {_LEAST_BYTES} to {_MOST_BYTES} bytes in base64"
    if not secret.startswith(_PREFIX):
        raise ValueError(f"does not begin with {_PREFIX}; {allowed}")
    try:
        key = b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"is not base64; {allowed}") from None
    if not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
        raise ValueError(f"stands for {len(key)} bytes; {allowed}")
    return key


def webhook_body(event: Event) -> bytes:
    """Return the body of the request that tells of an event."""
    members = {"type": event.type.value, "timestamp": format_time(event.at), "data": event.data}
    return json.dumps(members, separators=(",", ":")).encode()


def webhook_headers(key: bytes, message_id: str, body: bytes, now: datetime) -> dict[str, str]:
    """Return the headers of a request sent at `now`; `message_id` is the same for all attempts."""
    timestamp = str(int(now.timestamp()))
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    signature = b64encode(hmac.digest(key, signed, sha256)).decode()
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }
