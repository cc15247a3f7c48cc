"""How long groups took lately, by cohort, as the recorder knows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from recorder.completion.labels import Scalar, label_text, mark_of
from recorder.ledger.response_body import ResponseBody
from recorder.polling.db_writer import DatabaseWriter
from recorder.store.finished_groups import durations_by_label

COHORT_SECONDS = 60.0
"""How often to look at them."""


class FinishedCohorts:
    """The durations of the newest completed episodes, as of the last look.

    Groups with the same value of `key` in their metadata are one cohort; without a key, all groups are.
    """

    def __init__(self, reader: DatabaseWriter, key: str | None) -> None:
        self._reader = reader
        self._key = key
        self._durations: Mapping[str | None, Sequence[float]] = {}

    async def look(self) -> None:
        """Read the durations.

        Raises:
            DatabaseUnavailableError: the ones known so far stay.
        """
        self._durations = await self._reader.read(partial(durations_by_label, key=self._key))

    def durations(self, body: ResponseBody) -> Sequence[float]:
        """Return how many seconds groups like the one with this body took, in ascending order."""
        if self._key is None:
            return self._durations.get(None, ())
        metadata = body.value.get("metadata")
        value = metadata.get(self._key) if isinstance(metadata, Mapping) else None
        return self._durations.get(mark_of(label_text(value)), ()) if isinstance(value, Scalar) else ()
