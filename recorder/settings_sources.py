"""The sources of settings: values as they are handed over, without what does not belong to them."""

from __future__ import annotations

import re
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from recorder.database_url import QUOTES, tidied

_KUBERNETES = re.compile(r"(tcp|udp|sctp)://\S+:\d+", re.IGNORECASE)
_ANY_QUOTES = set(QUOTES + "\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}")


class TidySource(PydanticBaseSettingsSource):
    """Another source, without white space and quotes around its values; what is empty then counts as not set.

    `docker run --env-file` does not remove quotes, and Windows editors and Kubernetes secrets add line ends.
    """

    def __init__(self, source: PydanticBaseSettingsSource) -> None:
        super().__init__(source.settings_cls)
        self._source = source

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._source.get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        values = {
            name: tidied(value) if isinstance(value, str) else value for name, value in self._source().items()
        }
        return {name: value for name, value in values.items() if value != ""}


def hint(value: str) -> str:
    """Return what is known about a value that is not allowed, and what to do about it; "" if nothing is."""
    if _KUBERNETES.fullmatch(value):
        return (
            " looks like a variable that Kubernetes sets for a Service: "
            "rename the Service, or set enableServiceLinks: false;"
        )
    if set(value) & _ANY_QUOTES:
        return " is not allowed (mind the quotes);"
    return ""
