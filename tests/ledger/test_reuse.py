"""Results that are used again for the same object."""

from __future__ import annotations

from typing import Any

from recorder.ledger.reuse import reuse_last


def test_a_result_is_used_again_for_the_same_object_only() -> None:
    asked: list[Any] = []

    @reuse_last
    def kind_of(value: Any) -> str:
        asked.append(value)
        return type(value).__name__

    metadata = {"n": 1}
    assert [kind_of(metadata), kind_of(metadata)] == ["dict", "dict"]
    assert asked == [metadata]
    assert [kind_of(value) for value in (1, True, None, 1.0)] == ["int", "bool", "NoneType", "float"]
    assert kind_of({"n": 1}) == "dict"
    assert len(asked) == 6
