"""Samples at regular steps: which steps are rejected."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from recorder.queries.as_of import HistoryOrSamplesQuery


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"step": "0"}, "is not a number of seconds"),
        ({"step": "-1"}, "is not a number of seconds"),
        ({"step": "nan"}, "is not a number of seconds"),
        ({"step": "1h"}, "is not a number of seconds"),
        ({"step": "60", "kind": "gap"}, "cannot be combined with kind"),
        ({"step": "60", "limit": "5", "order": "desc"}, "cannot be combined with order, limit"),
    ],
)
def test_bad_steps(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        HistoryOrSamplesQuery.parse(parameters)
    (error,) = caught.value.errors()
    assert error["loc"] == ("step",)
    assert message in error["msg"]
