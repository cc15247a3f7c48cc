"""Plots of survival curves, compared with directly counted shares."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from recorder.cli.output.survival_plot import axis_end, bar, picture, samples, strip, time_axis
from recorder.completion.statistics import Durations, curve_items

LENGTHS = st.lists(st.integers(0, 60), min_size=1, max_size=12)
BLOCKS = " ▁▂▃▄▅▆▇█"


def steps_of(completed: list[int], still_open: list[int] | None = None) -> list[dict[str, float]]:
    rows = [(float(length), 0.0, None, False) for length in completed]
    rows += [(float(length), 0.0, None, True) for length in still_open or []]
    return curve_items(Durations.of(rows))


def share_longer(completed: list[int], seconds: Fraction) -> Fraction:
    """The share that lasts longer than `seconds`, which is the curve if nothing is censored."""
    return Fraction(sum(length > seconds for length in completed), len(completed))


@given(LENGTHS, st.integers(2, 40))
def test_samples_are_the_shares_that_last_longer(completed: list[int], count: int) -> None:
    # Lengths are multiples of the axis step, so that no end falls next to a sample by rounding.
    completed = [length * (count - 1) for length in completed]
    until = 60 * (count - 1)
    shares = samples(steps_of(completed), until, count)
    expected = [share_longer(completed, Fraction(60 * number)) for number in range(count)]
    assert [None if share is None else round(share, 9) for share in shares] == [
        round(float(share), 9) for share in expected
    ]


@given(LENGTHS, LENGTHS, st.integers(2, 40))
def test_the_curve_is_unknown_after_the_last_open_episode(
    completed: list[int], still_open: list[int], count: int
) -> None:
    last = max(still_open)
    steps = steps_of(completed, [*still_open, last + 100])
    shares = samples(steps, 2 * (last + 100), count)
    known = [share for share in shares if share is not None]
    assert known == sorted(known, reverse=True)
    assert shares == [*known, *[None] * (len(shares) - len(known))]
    assert shares[-1] is None


@given(LENGTHS, LENGTHS)
def test_the_axis_ends_at_the_last_drop_of_any_curve(completed: list[int], still_open: list[int]) -> None:
    curves = [steps_of(completed), steps_of([1], still_open), steps_of([], still_open)]
    ends = [*completed, 1]
    assert axis_end(curves) == max(ends)
    assert axis_end([steps_of([], still_open)]) == max(still_open)
    assert axis_end([]) == 0


def test_strip_examples() -> None:
    assert strip(steps_of([1, 2, 3, 4]), 4, 5) == "█▆▄▂ "
    assert strip(steps_of([0]), 0, 3) == "   "
    assert strip(steps_of([2], [3]), 8, 5) == "█▄···"
    assert strip(steps_of(list(range(1, 101))), 99, 2) == "█▁"


@given(LENGTHS, st.integers(10, 60), st.sampled_from([2, 4, 8]))
def test_a_plot_is_as_high_as_the_surviving_share(completed: list[int], width: int, height: int) -> None:
    until = max(completed)
    lines = picture(steps_of(completed), until, width, height)
    assert len(lines) == height + 2
    assert {len(line) for line in lines[: height + 1]} == {width}
    columns = zip(*(line[7:] for line in lines[:height]), strict=True)
    heights = [sum(BLOCKS.index(block) for block in column) for column in columns]
    shares = samples(steps_of(completed), until, width - 7)
    assert all(
        share is not None and 0 <= eighths - share * height * 8 < 1 + 1e-9
        for eighths, share in zip(heights, shares, strict=True)
    )


def test_the_scale_of_a_plot() -> None:
    lines = picture(steps_of([30, 60]), 60, 60, 8)
    assert [line[:7] for line in lines[:9]] == [
        "100 % ┤",
        "      │",
        " 75 % ┤",
        "      │",
        " 50 % ┤",
        "      │",
        " 25 % ┤",
        "      │",
        "  0 % └",
    ]
    assert lines[9].split() == ["0", "30.0", "s", "1", "min", "0", "s"]


@given(st.floats(0, 1e7), st.integers(14, 120))
def test_an_axis_has_the_given_width(until: float, width: int) -> None:
    axis = time_axis(until, width)
    assert len(axis) == width
    assert axis.startswith("0 ")


@given(st.fractions(0, 1), st.integers(1, 40))
def test_a_bar_is_as_long_as_its_share(share: Fraction, width: int) -> None:
    drawn = bar(float(share), width)
    assert set(drawn[:-1]) <= {"█"}
    eighths = sum(8 - "█▉▊▋▌▍▎▏".index(block) for block in drawn)
    assert 0 <= eighths - share * width * 8 < 1 + 1e-9
