"""The parameters of a comparison: what is missing, and what does not belong to it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from recorder.queries.comparison import StatisticsQuery

EARLY, LATE = "2026-11-24T12:00:00Z", "2026-11-25T12:00:00Z"
MISSING = "is missing: two values are compared"


@pytest.mark.parametrize(
    ("given", "errors"),
    [
        ({"compare": "week"}, {"compare": "is neither time nor metadata.KEY, such as metadata.processor"}),
        ({"compare": "time"}, {"compare": "needs than_from or than_to, to tell what to compare with"}),
        ({"than_from": EARLY}, {"than_from": "belongs to compare=time"}),
        ({"value": "a"}, {"value": "belongs to compare=metadata.KEY"}),
        ({"compare": "metadata.time"}, {"value": MISSING, "than_value": MISSING}),
        (
            {"compare": "metadata[a]", "value": "1", "than_value": "2", "metadata.a": "1"},
            {"compare": "has the key of a metadata filter; leave the filter out"},
        ),
        (
            {"compare": "time", "than_from": EARLY, "group_by": "metadata.a"},
            {"group_by": "cannot be combined with compare"},
        ),
        ({"compare": "time", "than_from": LATE, "than_to": EARLY}, {"than_to": "lies before than_from"}),
    ],
)
def test_bad_parameters(given: dict[str, str], errors: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as raised:
        StatisticsQuery.parse(given)
    found = {error["loc"][0]: error["msg"] for error in raised.value.errors(include_url=False)}
    assert found == errors
