"""A client generated from the OpenAPI document, against the real server."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from recorder.store.engine import check_url, open_engine
from recorder.tokens import new_token
from tests.api.examples import GROUP, record_groups
from tests.api.generated_client import GeneratedClient, generate_client
from tests.support.postgres import free_port
from tests.support.program import Program
from tests.support.recording import Recording, active, after

OTHER, ODD = "tgrp_9b01", "100% été"
"""A completed group, and one with a run in an unknown status; `GROUP` ends paused."""


@pytest.fixture(scope="module")
def database_path(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("generated_client") / "recorder.db"
    shutil.copyfile(sqlite_template, path)
    engine = open_engine(check_url(f"sqlite:///{path}"))
    record_groups(engine)
    recording = Recording(engine)
    recording.pause(GROUP, 120)
    recording.watch(ODD, 130)
    recording.see(ODD, 131, active(napping=1))
    engine.dispose()
    return path


@contextmanager
def _serving(folder: Path, database_path: Path, **settings: str) -> Iterator[str]:
    """Run a server during the block; yields its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings |= {"RECORDER_DATABASE_URL": f"sqlite:///{database_path}", "RECORDER_API_PORT": str(port)}
    with Program(folder, settings=settings).start("serve") as server:
        server.wait_until_it_serves(f"{url}/healthz")
        yield url
        assert server.stop() == 0


class ApiCaller:
    """Calls the generated functions for one server."""

    def __init__(self, package: GeneratedClient, client: Any) -> None:
        self._package = package
        self._client = client
        self.models: Any = package.models

    def __call__(self, operation: str, *path: str, **parameters: Any) -> Any:
        """Return the response as an instance of its generated type."""
        return self._package.operation(operation).sync(*path, client=self._client, **parameters)

    def pages(self, operation: str, *path: str, **parameters: Any) -> list[Any]:
        """Return all pages, following the cursors."""
        pages = [self(operation, *path, **parameters)]
        while (next_url := pages[-1].next_) is not None:
            (cursor,) = parse_qs(urlsplit(next_url).query)["cursor"]
            pages.append(self(operation, *path, **parameters, cursor=cursor))
        return pages


@pytest.fixture(scope="module")
def url(database_path: Path) -> Iterator[str]:
    with _serving(database_path.parent, database_path) as url:
        yield url


@pytest.fixture(scope="module")
def package(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GeneratedClient]:
    document = httpx.get(f"{url}/openapi.json").json()
    with generate_client(document, "plain_client", tmp_path_factory.mktemp("package")) as package:
        yield package


@pytest.fixture
def call(url: str, package: GeneratedClient) -> Iterator[ApiCaller]:
    with package.client.Client(url, raise_on_unexpected_status=True) as client:
        yield ApiCaller(package, client)


def test_every_operation_can_be_called(package: GeneratedClient) -> None:
    assert package.operations
    for operation in package.operations:
        functions = vars(package.operation(operation["operationId"]))
        assert functions.keys() >= {"sync", "sync_detailed", "asyncio", "asyncio_detailed"}


def test_types_are_named_as_in_the_document(package: GeneratedClient) -> None:
    schemas = package.document["components"]["schemas"]
    unions = {name for name, schema in schemas.items() if "anyOf" in schema}
    types = {*package.models.__all__}
    assert types >= schemas.keys() - unions - {"JsonValue"}
    assert {name for name in types if re.search(r"Type\d", name)} == set()


def test_parameters_are_typed(package: GeneratedClient) -> None:
    models, unset = package.models, package.types.Unset
    hints = get_type_hints(package.operation("getHistory").sync)
    assert hints["taskgroup_id"] is str
    assert hints["from_"] == datetime | unset
    assert hints["order"] == models.GetHistoryOrder | unset
    assert (hints["limit"], hints["step"]) == (int | unset, float | unset)
    assert hints["return"] == (
        models.ArchivedProblem | models.HistoryPage | models.Samples | models.Problem | None
    )


def test_groups_by_filters(call: ApiCaller) -> None:
    models = call.models
    page = call(
        "listGroups", state="paused,stopped", created_from=after(-60), created_to=after(0), count=True
    )
    assert isinstance(page, models.GroupsPage)
    assert (page.count, page.count_is_capped, page.next_) == (1, False, None)
    (group,) = page.items
    assert isinstance(group, models.Group)
    assert (group.taskgroup_id, group.state, group.phase) == (
        GROUP,
        models.WatchState.PAUSED,
        models.Phase.ACTIVE,
    )
    assert (group.created_at, group.last_seen_at, group.due_at) == (after(-30), after(105.5), None)
    assert group.metadata == {"customer": "acme", "processor": "core"}
    assert isinstance(group.status, models.Status)
    assert group.status["task_run_status_counts"] == {"running": 2, "completed": 2, "failed": 1}
    assert group.progress == models.Progress(finished=3, total=5, fraction=0.6)
    assert group.open_gap is None
    assert isinstance(group.eta, models.Eta)
    assert [group.taskgroup_id for group in call("listGroups", phase="settled").items] == [OTHER]


def test_groups_by_pages(call: ApiCaller) -> None:
    pages = call.pages("listGroups", limit=1)
    assert [[group.taskgroup_id for group in page.items] for page in pages] == [[ODD], [OTHER], [GROUP]]
    assert not any("count" in page.to_dict() for page in pages)
    assert call.models.GroupsPage(items=[], next_=None).to_dict() == {"items": [], "next": None}


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_history_by_pages(call: ApiCaller, order: str) -> None:
    models = call.models
    pages = call.pages("getHistory", GROUP, limit=3, order=models.GetHistoryOrder(order))
    assert {type(page) for page in pages} == {models.HistoryPage}
    assert [len(page.items) for page in pages] == [3, 3, 2]
    items = [item for page in pages for item in page.items]
    items.sort(key=lambda item: item.seq, reverse=order == "desc")
    assert [item.seq for item in items] == sorted(range(1, 9), reverse=order == "desc")
    items.sort(key=lambda item: item.seq)
    kind = models.Kind
    assert [item.kind for item in items] == [
        *(kind.WATCH, kind.STATUS, kind.STATUS, kind.STATUS, kind.GAP, kind.STATUS, kind.STATUS, kind.WATCH)
    ]


def test_entries_are_typed(call: ApiCaller) -> None:
    models = call.models
    items = call("getHistory", GROUP).items
    seen, gap, paused = items[2], items[4], items[7]
    assert (seen.at, seen.observed_at, seen.last_seen_at, seen.polls) == (
        *(after(10.5), after(10.5), after(20.5), 2),
    )
    assert seen.observed_at.tzinfo is not None
    assert (seen.phase, seen.status["num_task_runs"], seen.anomalies) == (models.Phase.ACTIVE, 3, [])
    assert (seen.gap, seen.watch) == (None, None)
    assert re.fullmatch("[0-9a-f]{64}", seen.digest)
    assert gap.gap == models.GapMembers(
        from_=after(30.5),
        to=after(95.5),
        cause=models.Cause.SERVER_ERROR,
        attempts=3,
        unpolled_seconds=gap.gap.unpolled_seconds,
        http_status=503,
        detail="busy",
    )
    assert isinstance(gap.gap.unpolled_seconds, float)
    assert (gap.phase, gap.status, gap.polls, gap.anomalies) == (None, None, None, None)
    assert paused.watch == models.WatchMembers(action=models.Action.PAUSED, actor="ada", note="lunch")
    assert {item.kind for item in call("getHistory", GROUP, kind="gap,watch").items} == {*models.Kind} - {
        "status"
    }


def test_history_by_steps_returns_samples(call: ApiCaller) -> None:
    models = call.models
    samples = call("getHistory", GROUP, step=30, from_=after(0), to=after(90))
    assert isinstance(samples, models.Samples)
    assert [(sample.at, sample.certainty) for sample in samples.items] == [
        (after(0), models.Certainty.BEFORE),
        (after(30), models.Certainty.BETWEEN),
        (after(60), models.Certainty.GAP),
    ]
    assert [sample.status for sample in samples.items][::2] == [None, None]


def test_the_latest_status(call: ApiCaller) -> None:
    models = call.models
    latest = call("getStatus", ODD)
    assert type(latest) is models.LatestStatus
    assert (latest.taskgroup_id, latest.seq, latest.observed_at) == (ODD, 2, after(131))
    assert latest.status["task_run_status_counts"] == {"napping": 1}
    assert latest.anomalies == [models.Anomaly.UNKNOWN_STATUS]


def test_status_at_a_moment_has_a_certainty(call: ApiCaller) -> None:
    models = call.models
    early = call("getStatus", GROUP, at=datetime(2020, 1, 1, tzinfo=UTC))
    assert type(early) is models.StatusAt
    assert (early.certainty, early.phase, early.status, early.seq) == (
        models.Certainty.BEFORE,
        None,
        None,
        None,
    )
    assert isinstance(early.next_status, models.Status)
    assert early.next_status["num_task_runs"] == 0


def test_completion_is_typed(call: ApiCaller) -> None:
    models = call.models
    first, last = call("getCompletion", GROUP).episodes
    assert isinstance(first.started.at, datetime) and isinstance(first.completed.latest, datetime)
    assert (first.outcome, first.censored, first.runs.failed) == (models.Outcome.MIXED, False, 1)
    assert (last.completed, last.outcome, last.censored) == (None, None, True)
    statistics = call("getStatistics", group_by="metadata.customer")
    assert {cohort.key: (cohort.episodes, cohort.completed) for cohort in statistics.items} == {
        **{"acme": (2, 1), "globex": (1, 1), None: (1, 0)}
    }


def test_other_operations_return_their_types(call: ApiCaller) -> None:
    models = call.models
    for operation, path, expected in (
        *(("getGroup", [GROUP], models.Group), ("getGaps", [GROUP], models.GapsPage)),
        *(("getAudit", [GROUP], models.Audit), ("getCheckpoint", [], models.Checkpoint)),
        *(("getCurve", [], models.Curve), ("getReadiness", [], models.Readiness)),
        ("getHealth", [], models.Health),
    ):
        assert type(call(operation, *path)) is expected


def test_problems_are_typed(call: ApiCaller) -> None:
    models = call.models
    unknown = call("getStatus", "nobody")
    assert isinstance(unknown, models.Problem)
    assert (unknown.status, unknown.type_) == (404, "/docs/problems#unknown-group")
    assert "errors" not in unknown.to_dict()
    bad = call("getHistory", GROUP, kind="statsu", limit=0)
    assert isinstance(bad, models.Problem)
    assert (bad.status, bad.type_) == (422, "/docs/problems#bad-parameter")
    assert {type(error) for error in bad.errors} == {models.ParameterError}
    assert [error.location for error in bad.errors] == ["kind", "limit"]


def test_a_server_that_requires_tokens(database_path: Path, tmp_path: Path) -> None:
    secret, token = new_token("ada")
    with _serving(tmp_path, database_path, RECORDER_API_TOKENS=str(token)) as url:
        document = httpx.get(f"{url}/openapi.json", headers={"x-api-key": secret}).json()
        with generate_client(document, "client_with_token", tmp_path) as package:
            for sent, expected in ((secret, package.models.GroupsPage), ("wrong", package.models.Problem)):
                with package.client.AuthenticatedClient(url, token=sent) as client:
                    assert type(ApiCaller(package, client)("listGroups")) is expected
