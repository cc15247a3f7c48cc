"""SVG elements as markup, and the frame around every chart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from api.pages.charts.scale import Tick

STRETCHED = 1000
"""The width of the coordinates in which curves are drawn."""
NOTHING_DRAWN = Markup("")
TOP, BOTTOM, AXIS_WIDTH = 18, 26, 48
"""The space above and below a plot, and to its left, in pixels."""
_EDGE = 0.04
"""The share of the width in which a label does not stand across its tick, as it would be cut off."""


def element(name: str, content: Iterable[str] = "", /, **attributes: object) -> Markup:
    """Return an element; underscores in the names of attributes stand for hyphens, and None leaves one out.

    Texts are escaped unless they are Markup.
    """
    parts = ["<", name]
    for key, value in attributes.items():
        if value is not None:
            parts += (" ", key.strip("_").replace("_", "-"), '="', escape(value), '"')
    parts.append(">")
    parts += (escape(part) for part in ([content] if isinstance(content, str) else content))
    parts += ("</", name, ">")
    # Joining Markup piece by piece takes ten times as long, and all that comes from outside is escaped.
    return Markup("".join(parts))  # noqa: S704


def percent(share: float) -> str:
    """Return a share of the width, as SVG takes it."""
    return f"{share * 100:.4f}%"


@dataclass(frozen=True, slots=True)
class Plot:
    """The parts of a chart: `curves` in stretched coordinates, `marks` and `over` in percent and pixels,
    behind and above them."""

    name: str
    height: int
    rows: Sequence[Tick]
    columns: Sequence[Tick]
    curves: Markup = NOTHING_DRAWN
    marks: Markup = NOTHING_DRAWN
    over: Markup = NOTHING_DRAWN
    defs: Markup = NOTHING_DRAWN
    extent: tuple[float, float] | None = None
    row_lines: bool = True

    def draw(self, uid: str, description: str) -> Markup:
        """Return the chart with its axes; `uid` is unique on the page."""
        lo, hi = self.extent if self.extent is not None else (None, None)
        plot = element(
            "svg",
            [
                element("title", self.name, id=f"{uid}-name"),
                element("desc", description, id=f"{uid}-desc"),
                element("defs", self.defs) if self.defs else "",
                self._grid(),
                self.marks,
                self._stretched(),
                self.over,
                self._time_labels(),
                element("line", _class="cross", visibility="hidden", y1=TOP, y2=TOP + self.height),
            ],
            _class="plot",
            id=f"{uid}-plot",
            width="100%",
            height=self.height + TOP + BOTTOM,
            role="img",
            tabindex="0",
            aria_labelledby=f"{uid}-name",
            aria_describedby=f"{uid}-desc",
            data_lo=None if lo is None else f"{lo:.3f}".rstrip("0").rstrip("."),
            data_hi=None if hi is None else f"{hi:.3f}".rstrip("0").rstrip("."),
        )
        return element("div", [self._row_labels(), plot], _class="frame")

    def _stretched(self) -> Markup:
        return element(
            "svg",
            self.curves,
            y=TOP,
            width="100%",
            height=self.height,
            viewBox=f"0 0 {STRETCHED} {self.height}",
            preserveAspectRatio="none",
        )

    def _grid(self) -> Markup:
        if not self.row_lines:
            return Markup("")
        lines = [
            element("line", x1="0", x2="100%", y1=f"{self._y(row):.1f}", y2=f"{self._y(row):.1f}")
            for row in self.rows
        ]
        return element("g", lines, _class="grid", aria_hidden="true")

    def _row_labels(self) -> Markup:
        labels = [
            element("text", row.label, x=AXIS_WIDTH - 6, y=f"{self._y(row) + 4:.1f}", text_anchor="end")
            for row in self.rows
        ]
        height = self.height + TOP + BOTTOM
        return element("svg", labels, _class="axis", width=AXIS_WIDTH, height=height, aria_hidden="true")

    def _time_labels(self) -> Markup:
        y = self.height + TOP + 18
        labels = []
        # Phones leave out the alternate labels. One that begins at the edge, with its date, takes more room.
        left_out = {2} if self.columns and self.columns[0].share < _EDGE else set()
        for number, tick in enumerate(self.columns):
            anchor = "start" if tick.share < _EDGE else "end" if tick.share > 1 - _EDGE else "middle"
            labels.append(
                element(
                    "text",
                    tick.label,
                    x=percent(tick.share),
                    y=y,
                    text_anchor=anchor,
                    _class="alternate" if number % 2 or number in left_out else None,
                )
            )
        return element("g", labels, _class="axis", aria_hidden="true")

    def _y(self, row: Tick) -> float:
        return TOP + (1 - row.share) * self.height


def band(
    name: str, start: float, end: float, *, least: float = 0.0, title: str = "", **more: object
) -> Markup:
    """Return a rectangle over the height of a plot from one share of the width to another.

    It is at least `least` wide, so that short stretches can be seen. `more` are further attributes, among
    them `height`.
    """
    start, end = max(start, 0.0), min(end, 1.0)
    attributes = {"y": TOP, **more}
    return element(
        "rect",
        element("title", title) if title else "",
        _class=name,
        x=percent(min(start, 1 - least)),
        width=percent(max(end - start, least)),
        **attributes,
    )


def hatching(uid: str) -> Markup:
    """Return the pattern `uid`-hatching, with which gaps are filled."""
    lines = [
        element("rect", width="8", height="8", _class="hatch-ground"),
        element("path", d="M0 0V8", _class="hatch-line"),
    ]
    return element(
        "pattern",
        lines,
        id=f"{uid}-hatching",
        width="8",
        height="8",
        patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    )


def stepped(xs: Sequence[float], ys: Sequence[float], end: float) -> str:
    """Return the path of a line that holds each of `ys` from its place in `xs` to the next, then to `end`."""
    if not len(xs):
        return ""
    parts, before = [f"M{xs[0]:g} {ys[0]:g}"], ys[0]
    for x, y in zip(xs[1:], ys[1:], strict=True):
        if y != before:
            parts.append(f"H{x:g}V{y:g}")
            before = y
    return "".join([*parts, f"H{end:g}"])
