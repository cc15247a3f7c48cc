"""The provider's own SDK creates, fills and retrieves groups under both prefixes."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import parallel
import pytest

from tests.support.simulator import SIMULATOR_KEY, ManualClock, Start


class PrefixTransport(httpx.HTTPTransport):
    """Sends the SDK's requests, which go to `/v1`, to another prefix."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.replace("/v1/", f"/{self._prefix}/", 1)
        request.url = request.url.copy_with(path=path)
        return super().handle_request(request)


@pytest.fixture(params=["v1", "v1beta"])
def sdk(request: pytest.FixtureRequest, start: Start, clock: ManualClock) -> Iterator[parallel.Parallel]:
    http = httpx.Client(transport=PrefixTransport(request.param))
    with parallel.Parallel(
        api_key=SIMULATOR_KEY,
        base_url=start(clock, seed=3, api_key=SIMULATOR_KEY),
        http_client=http,
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        yield client


def test_the_sdk_creates_fills_and_retrieves_a_group(sdk: parallel.Parallel, clock: ManualClock) -> None:
    created = sdk.task_group.create(metadata={"team": "a", "n": 3.5, "ok": True})
    assert created.metadata == {"team": "a", "n": 3.5, "ok": True}
    assert created.status.num_task_runs == 0
    assert created.status.is_active is False

    inputs: list[parallel.types.RunInputParam] = [
        {"input": "who?", "processor": "base"},
        {"input": {"company": "x"}, "processor": "lite", "metadata": {"row": "1"}},
    ]
    added = sdk.task_group.add_runs(
        created.task_group_id,
        inputs=inputs,
        default_task_spec={"output_schema": "an answer"},
        refresh_status=True,
        extra_headers={"x-simulator-outcome": "completed", "x-simulator-seconds": "30"},
    )
    assert len(set(added.run_ids)) == 2
    assert added.status.is_active is True

    clock.advance(29)
    running = sdk.task_group.retrieve(created.task_group_id)
    assert running.status.task_run_status_counts == {"running": 2}
    clock.advance(1)
    done = sdk.task_group.retrieve(created.task_group_id)
    assert done.status.task_run_status_counts == {"completed": 2}
    assert done.status.is_active is False
    assert done.status.modified_at == "2026-11-24T12:16:30.000000Z"
    assert (done.created_at, done.metadata) == (created.created_at, created.metadata)


def test_metadata_is_optional(sdk: parallel.Parallel) -> None:
    assert sdk.task_group.create().metadata is None


def test_the_sdk_raises_the_matching_errors(sdk: parallel.Parallel) -> None:
    with pytest.raises(parallel.NotFoundError):
        sdk.task_group.retrieve("tgrp_unknown")
    with pytest.raises(parallel.UnprocessableEntityError):
        sdk.task_group.add_runs(sdk.task_group.create().task_group_id, inputs=[])
    with pytest.raises(parallel.AuthenticationError):
        sdk.with_options(api_key="another").task_group.create()


def test_the_sdk_reads_the_runs_of_a_group(sdk: parallel.Parallel, clock: ManualClock) -> None:
    group = sdk.task_group.create().task_group_id
    inputs: list[parallel.types.RunInputParam] = [{"input": "who?", "processor": "core"}] * 2
    done = sdk.task_group.add_runs(
        group,
        inputs=inputs,
        extra_headers={"x-simulator-outcome": "failed", "x-simulator-seconds": "30"},
    )
    clock.advance(40)
    late: list[parallel.types.RunInputParam] = [{"input": "who?", "processor": "lite"}]
    waiting = sdk.task_group.add_runs(group, inputs=late)
    with sdk.task_group.get_runs(group) as stream:
        events = list(stream)
    runs = [event.run for event in events if event.type == "task_run.state"]
    assert [run.run_id for run in runs] == [*done.run_ids, *waiting.run_ids]
    assert [(run.status, run.processor, run.is_active) for run in runs] == [
        *[("failed", "core", False)] * 2,
        ("queued", "lite", True),
    ]
    assert {run.error.message for run in runs[:2] if run.error} == {"the run failed"}
    assert (runs[0].created_at, runs[0].modified_at) == (
        *("2026-11-24T12:16:00.000000Z", "2026-11-24T12:16:30.000000Z"),
    )
    assert (runs[2].created_at, runs[2].modified_at) == ("2026-11-24T12:16:40.000000Z",) * 2
    cursor = events[1].event_id if events[1].type == "task_run.state" else None
    with sdk.task_group.get_runs(group, last_event_id=cursor) as stream:
        assert [event.run.run_id for event in stream if event.type == "task_run.state"] == waiting.run_ids
    with sdk.task_group.get_runs(group, status="failed") as stream:
        assert len(list(stream)) == 2
    with pytest.raises(parallel.NotFoundError):
        sdk.task_group.get_runs("tgrp_unknown")
