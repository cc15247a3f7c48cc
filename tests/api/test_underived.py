"""What would be incomplete while completion is being derived anew is refused, with a reason."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from recorder.store import rebuilding
from recorder.store.rebuilding import rebuild_left
from tests.support.api_client import Client
from tests.support.underived_groups import GROUPS, make_older, record_groups

pytestmark = pytest.mark.ledger(fill=record_groups)

COMPLETE = [
    *("/api/v1/completion", "/api/v1/completion?group_by=metadata.batch", "/api/v1/completion/curve"),
    *("/api/v1/groups?metadata.batch=1", "/api/v1/groups?metadata.batch=1&count=true"),
    *(f"/api/v1/groups/{GROUPS[0]}/{name}" for name in ("completion", "gaps")),
]
WHOLE = [
    *("/api/v1/groups", f"/api/v1/groups/{GROUPS[-1]}", f"/api/v1/groups/{GROUPS[0]}/history"),
    *(f"/api/v1/groups/{GROUPS[0]}/status", f"/v1/tasks/groups/{GROUPS[0]}", "/api/v1/events"),
]


def test_incomplete_responses_are_refused_until_all_is_derived(
    client: Client, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "BATCH_GROUPS", 1)
    make_older(engine)
    for address in COMPLETE:
        response = client.get_response(address, 503)
        assert response.json is not None
        assert response.json["type"] == "/docs/problems#being-derived"
        assert int(response.headers["Retry-After"]) > 0
    assert "0 of 5 groups are done" in client.get("/api/v1/completion", 503)["detail"]
    for address in WHOLE:
        client.get(address)
    eta = client.get(f"/api/v1/groups/{GROUPS[-1]}")["eta"]
    assert eta["p50"] is None and "derived anew" in eta["reason"]
    assert client.get("/readyz")["database"]["deriving"] == {"groups_done": 0, "groups_total": 5}

    left = rebuild_left(engine)
    next(left)
    assert client.get("/readyz")["database"]["deriving"] == {"groups_done": 1, "groups_total": 5}
    client.get("/api/v1/completion", 503)
    for _ in left:
        pass
    for address in COMPLETE:
        client.get_response(address)
    assert client.get("/readyz")["database"]["deriving"] is None
    assert client.get(f"/api/v1/groups/{GROUPS[-1]}")["eta"] != eta
