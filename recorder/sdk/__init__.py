"""Enrol every group that a program creates with the provider's SDK: one call of `attach`.

The hook cannot slow down, break or repeat a paid call: it copies the response as the SDK reads it, hands it
to a background thread and catches everything. Importing this package imports nothing else of the recorder.
"""

from __future__ import annotations

import os
from typing import Any

from recorder.sdk.courier import Courier
from recorder.sdk.destinations import destination_of
from recorder.sdk.spool import spool_folder
from recorder.sdk.tap import install, remove

__all__ = ["Attachment", "attach"]


class Attachment:
    """What `attach` set up; it lasts as long as the process unless `detach` is called."""

    def __init__(self, client: Any, hook: Any, courier: Courier) -> None:
        self._client = client
        self._hook = hook
        self._courier = courier

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until everything is delivered, for at most `timeout` seconds; return whether it is."""
        return self._courier.flush(timeout)

    def detach(self) -> None:
        """Take the hook out of the client.

        What cannot be delivered within a moment waits on disk for the next process.
        """
        remove(self._client, self._hook)
        self._courier.close()


def attach(client: Any, *, to: str | os.PathLike[str], token: str | None = None) -> Attachment:
    """Enrol every group that `client` creates, and add the runs of every `add_runs` to what is expected.

    `client` is the SDK's `Parallel` or `AsyncParallel`. `to` is the address of the recorder's API, which
    needs a `token` of scope `enrol`; the URL of its database; or a folder that a recorder takes in. What
    cannot be delivered waits on disk, below `$XDG_STATE_HOME` or `~/.local/state`, and is delivered later, at
    the next start of a program with the same `to` at the latest.

    Raises:
        TypeError: `client` is not a client of the SDK.
        ValueError: `to` cannot be used; the message says why.
    """
    destination = destination_of(os.fspath(to), token)
    courier = Courier(destination, spool_folder(destination.name))
    return Attachment(client, install(client, courier.take), courier)
