"""The baselines: loops that poll a group and insert its counts, with the provider's SDK or with httpx."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime

import httpx
from parallel import Parallel
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from recorder.store.engine import check_url, open_engine

Poll = Callable[[str], None]
Loop = Callable[[str, str, str], AbstractContextManager[Poll]]


class _Base(DeclarativeBase):
    pass


class _Status(_Base):
    __tablename__ = "polled_status"

    id: Mapped[int] = mapped_column(primary_key=True)
    taskgroup_id: Mapped[str]
    polled_at: Mapped[datetime]
    num_task_runs: Mapped[int]
    queued: Mapped[int]
    running: Mapped[int]
    completed: Mapped[int]
    is_active: Mapped[bool]


@contextmanager
def sdk_loop(database: str, upstream: str, api_key: str) -> Iterator[Poll]:
    """Poll with the provider's SDK."""
    with Parallel(base_url=upstream, api_key=api_key) as client, _inserting(database) as insert:

        def poll(taskgroup_id: str) -> None:
            status = client.task_group.retrieve(taskgroup_id).status
            insert(taskgroup_id, status.num_task_runs, status.task_run_status_counts, status.is_active)

        yield poll


@contextmanager
def httpx_loop(database: str, upstream: str, api_key: str) -> Iterator[Poll]:
    """Poll with httpx."""
    http = httpx.Client(base_url=upstream, headers={"x-api-key": api_key}, trust_env=False)
    with http, _inserting(database) as insert:

        def poll(taskgroup_id: str) -> None:
            response = http.get(f"/v1beta/tasks/groups/{taskgroup_id}").raise_for_status()
            status = response.json()["status"]
            counts = status["task_run_status_counts"]
            insert(taskgroup_id, status["num_task_runs"], counts, status["is_active"])

        yield poll


LOOPS: dict[str, Loop] = {"SDK and ORM": sdk_loop, "httpx and ORM": httpx_loop}


@contextmanager
def _inserting(database: str) -> Iterator[Callable[[str, int, dict[str, int], bool], None]]:
    """Create the table for the duration of the block; yield what inserts a row and commits."""
    engine = open_engine(check_url(database))
    _Base.metadata.create_all(engine)
    try:
        with Session(engine) as session:

            def insert(taskgroup_id: str, total: int, counts: dict[str, int], is_active: bool) -> None:
                session.add(
                    _Status(
                        taskgroup_id=taskgroup_id,
                        polled_at=datetime.now(UTC).replace(tzinfo=None),
                        num_task_runs=total,
                        queued=counts["queued"],
                        running=counts["running"],
                        completed=counts["completed"],
                        is_active=is_active,
                    )
                )
                session.commit()

            yield insert
    finally:
        _Base.metadata.drop_all(engine)
        engine.dispose()
