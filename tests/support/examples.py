"""How many examples property tests try, as a multiple of what the Hypothesis profile says."""

from __future__ import annotations

from hypothesis import settings


def examples(times: float) -> int:
    """Return `times` the profile's number of examples, for a test that needs more or fewer than others."""
    return max(1, round(times * settings().max_examples))
