"""The chart of outages: one lane for each cause, over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from api.pages.charts.sampling import merged
from api.pages.charts.scale import Tick, share_of, time_ticks
from api.pages.charts.status_area import LEAST_GAP
from api.pages.charts.svg import TOP, Plot, band, element, hatching
from recorder.queries.group_chart import TimeSpan

LANE, BAR = 38, 22
"""The height of a lane, and of the bars in it."""


def draw_outages(lanes: Mapping[str, Sequence[TimeSpan]], lo: float, hi: float, uid: str) -> Markup:
    """Draw the outages of each cause; those too close to be told apart are one bar, and none vanishes."""
    height = LANE * max(len(lanes), 1)
    parts = []
    for number, (cause, spans) in enumerate(lanes.items()):
        words = cause.replace("_", " ")
        y = TOP + number * LANE
        parts.append(element("text", words, x="4", y=y + 11, _class="lane", aria_hidden="true"))
        parts += [
            band(
                f"gap cause-{cause.replace('_', '-')}",
                share_of(start, lo, hi),
                share_of(end, lo, hi),
                least=LEAST_GAP,
                y=y + LANE - BAR,
                height=BAR - 4,
                fill=f"url(#{uid}-hatching)",
                title=words,
                data_cause=cause,
            )
            for start, end in merged([(span.start, span.end) for span in spans], lo, hi)
        ]
    plot = Plot(
        name="What was not seen, by cause",
        height=height,
        rows=[Tick(1 - number * LANE / height, "") for number in range(len(lanes) + 1)],
        columns=time_ticks(lo, hi),
        over=Markup("").join(parts),
        defs=hatching(uid),
        extent=(lo, hi),
    )
    count = sum(len(spans) for spans in lanes.values())
    return plot.draw(uid, f"{count} outage{'' if count == 1 else 's'}. A table follows.")
