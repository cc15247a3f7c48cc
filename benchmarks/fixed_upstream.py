"""A provider in a process of its own that costs next to nothing: it answers every GET of a group at once.

A group whose id begins with `changed` has another status in every response; that of any other group stays
the same.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from subprocess import PIPE, Popen

_STATUS = {
    "num_task_runs": 1000,
    "task_run_status_counts": {"queued": 700, "running": 20, "completed": 280},
    "is_active": True,
    "status_message": None,
    "modified_at": "2026-11-27T10:00:00.123456Z",
}
_numbers = count(1)


@contextmanager
def fixed_upstream() -> Iterator[str]:
    """Run the provider for the duration of the block; yield its address."""
    command = [sys.executable, "-m", "benchmarks.fixed_upstream"]
    with Popen(command, stdout=PIPE, text=True) as process:  # noqa: S603 (this file)
        try:
            yield str(process.stdout and process.stdout.readline()).strip()
        finally:
            process.terminate()


def _body(taskgroup_id: str) -> bytes:
    status = dict(_STATUS)
    if taskgroup_id.startswith("changed"):
        number = next(_numbers)
        status["task_run_status_counts"] = {"queued": 700, "running": number, "completed": 280}
    group = {
        "taskgroup_id": taskgroup_id,
        "metadata": {"project": "benchmark"},
        "created_at": "2026-11-27T09:00:00.000000Z",
        "status": status,
    }
    return json.dumps(group).encode()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            body = _body(head.split(b" ", 2)[1].rpartition(b"/")[2].decode())
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                % (len(body), body)
            )
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
