"""Query parameters: which values are rejected, and with which messages."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from recorder.queries.groups import GroupsQuery
from recorder.queries.history import HistoryQuery
from recorder.queries.query import Query


def _errors(query: type[Query], **parameters: Any) -> dict[str, str]:
    """Return the message for each bad parameter."""
    with pytest.raises(ValidationError) as caught:
        query.parse(parameters)
    return {str(error["loc"][0]): error["msg"] for error in caught.value.errors()}


@pytest.mark.parametrize(
    "limit", ["", "0", "1001", "-1", "1.0", "1e2", "ten", " 1", "1_0", "\u0661", "9" * 5000, "+1", "true"]
)
def test_bad_limits(limit: str) -> None:
    assert "from 1 to 1000" in _errors(GroupsQuery, limit=limit)["limit"]


@pytest.mark.parametrize(
    "time",
    [
        "",
        "now",
        "1700000000",
        "2026-11-24",
        "2026-11-24T12:00:00",
        "2026-W48-2T12:00:00Z",
        "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "2026-11-24T12:00:00+24:00",
        "2026-11-24T12:00:00Z\0",
    ],
)
@pytest.mark.parametrize("name", ["from", "to"])
def test_bad_times(name: str, time: str) -> None:
    assert _errors(HistoryQuery, **{name: time}) == {
        name: "is not an RFC 3339 time with an offset, such as 2026-11-24T12:16:00Z"
    }


@pytest.mark.parametrize(
    ("parameters", "location"),
    [
        ({"from": "2026-11-24T12:00:01Z", "to": "2026-11-24T12:00:00Z"}, "to"),
        ({"order": ["asc", "asc"]}, "order"),
        ({"order": "ASC"}, "order"),
        ({"kind": ""}, "kind"),
        ({"kind": "gap,"}, "kind"),
        ({"from_": "2026-11-24T12:00:01Z"}, "from_"),
        ({"{x}": "1"}, "{x}"),
    ],
)
def test_bad_history_parameters(parameters: dict[str, Any], location: str) -> None:
    assert list(_errors(HistoryQuery, **parameters)) == [location]
