"""The formats of a selection: a page of JSON, or all of it as a stream."""

from __future__ import annotations

from enum import StrEnum

JSON = "application/json"
CSV = "text/csv"
NDJSON = "application/x-ndjson"


class Format(StrEnum):
    """A page of JSON, or the whole selection: as rows of a SQL view (CSV) or as JSON items (NDJSON)."""

    JSON = "json"
    CSV = "csv"
    NDJSON = "ndjson"


EXPORTS = (Format.CSV, Format.NDJSON)
"""The formats that return the whole selection."""
MEDIA_TYPES = {Format.CSV: CSV, Format.NDJSON: NDJSON}
FORMATS = {JSON: Format.JSON, CSV: Format.CSV, NDJSON: Format.NDJSON}
"""Formats by media type; of equally acceptable ones the first is used."""
