"""Candidate and champion as a picture: ROC curves, residuals or confusion, by what was learnt. Pure."""

import math
import textwrap
from collections.abc import Sequence

from shared.cli.curves import Confusion, Curve, Point, Residuals, Roc
from shared.cli.svg import FAINT, INK, Svg, width_of

#: blue and vermilion of Okabe and Ito, which people who are red-green colour-blind can distinguish
COLOURS = ("#0072b2", "#d55e00")
NAMES = ("candidate", "champion")
_DASHES = ("", "6 4")
_SIDE, _LEFT, _GAP, _MARGIN = 360, 80, 120, 40
_LINE = 20  #: from one line of the head to the next
_DOTS = 1500  #: of one model; more hide each other
_CLASSES = 15  #: more cells cannot be read
_NAME = 24  #: characters of a class that are written


def draw(title: str, rows: int, curves: Sequence[Curve]) -> str:
    """Return the SVG of the candidate's curve and, if there is one, the champion's. Raises ValueError."""
    first = curves[0]
    if isinstance(first, Roc):
        return _rocs(title, rows, [each for each in curves if isinstance(each, Roc)])
    if isinstance(first, Residuals):
        return _residuals(title, rows, [each for each in curves if isinstance(each, Residuals)])
    return _confusions(title, rows, [each for each in curves if isinstance(each, Confusion)])


class _Panels:
    """A head of some lines, `names` of what is drawn, and below them square panels side by side."""

    def __init__(
        self,
        title: str,
        summary: str,
        count: int,
        *,
        names: int = 1,
        left: float = _LEFT,
        gap: float = _GAP,
        side: float = _SIDE,
        below: float = 60,
    ) -> None:
        self.side, self._left, self._gap = side, left, gap
        width = left + count * side + (count - 1) * gap + _MARGIN
        head = textwrap.wrap(title, max(20, int((width - left) / width_of("a", 14))), break_long_words=True)
        self.top = 22 + _LINE * (len(head) + 1) + _LINE * names
        self.svg = Svg(math.ceil(width), math.ceil(self.top + side + below), title, summary)
        for number, line in enumerate(head):
            self.svg.text(left, 24 + number * _LINE, line, size=14)
        self.svg.text(left, 24 + len(head) * _LINE, summary.partition(":")[0])

    @property
    def bottom(self) -> float:
        return self.top + self.side

    def left(self, number: int) -> float:
        return self._left + number * (self.side + self._gap)

    def name(self, number: int, text: str) -> None:
        self.svg.text(self.left(number), self.top - 10, text)

    def frame(self, number: int, across: str, up: str, *, below: float = 38, beside: float = 62) -> None:
        left, middle = self.left(number), self.side / 2
        self.svg.line((left, self.bottom), (left + self.side, self.bottom))
        self.svg.line((left, self.top), (left, self.bottom))
        self.svg.text(left + middle, self.bottom + below, across, anchor="middle")
        if number == 0:
            self.svg.text(left - beside, self.top + middle, up, anchor="middle", turn=-90)

    def ticks(self, number: int, across: str, x: float, up: str, y: float) -> None:
        left = self.left(number)
        self.svg.text(left + x * self.side, self.bottom + 18, across, size=11, anchor="middle")
        self.svg.text(left - 8, self.bottom - y * self.side + 4, up, size=11, anchor="end")


def _rocs(title: str, rows: int, curves: list[Roc]) -> str:
    summary = ", ".join(f"{name} AUC {each.area:.4f}" for name, each in zip(NAMES, curves, strict=False))
    panels = _Panels(title, f"ROC on the same {rows:,} held-out rows: {summary}", 1, names=len(curves))
    svg, left = panels.svg, panels.left(0)

    def at(point: Point) -> Point:
        return left + point[0] * _SIDE, panels.bottom - point[1] * _SIDE

    panels.frame(0, "false positive rate", "true positive rate")
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        panels.ticks(0, f"{tick:g}", tick, f"{tick:g}", tick)
    svg.line(at((0, 0)), at((1, 1)), stroke=FAINT, dashes="3 3")
    for number, curve in reversed(list(enumerate(curves))):  # the candidate on top
        svg.path(map(at, curve.points), stroke=COLOURS[number], dashes=_DASHES[number])
        y = panels.top - 12 - _LINE * (len(curves) - 1 - number)  # above the frame, where no curve goes
        svg.line((left, y - 4), (left + 30, y - 4), stroke=COLOURS[number], width=2, dashes=_DASHES[number])
        svg.text(left + 38, y, f"{NAMES[number]}, AUC {curve.area:.4f}")
    return str(svg)


def _residuals(title: str, rows: int, curves: list[Residuals]) -> str:
    summary = ", ".join(f"{name} RMSE {each.root_mean_square:.4g}" for name, each in zip(NAMES, curves, strict=False))
    panels = _Panels(title, f"Residuals on the same {rows:,} held-out rows: {summary}", len(curves))
    across = _range([x for each in curves for x, _ in each.points])
    most = max(abs(y) for each in curves for _, y in each.points) or 1.0
    up = _range([-most, most])
    for number, curve in enumerate(curves):
        left = panels.left(number)
        panels.frame(number, "predicted value", "residual (actual - predicted)")
        for share in (0.0, 0.5, 1.0):
            value, error = across[0] + share * (across[1] - across[0]), up[0] + share * (up[1] - up[0])
            panels.ticks(number, f"{value:.3g}", share, f"{error:.3g}" if abs(error) > 1e-12 * most else "0", share)
        middle = panels.top + _SIDE / 2
        for x, y in curve.points[:: math.ceil(len(curve.points) / _DOTS)]:
            place = left + _place(x, across) * _SIDE, panels.bottom - _place(y, up) * _SIDE
            panels.svg.dot(*place, fill=COLOURS[number])
        panels.svg.line((left, middle), (left + _SIDE, middle), stroke=INK)
        panels.name(number, f"{NAMES[number]}, RMSE {curve.root_mean_square:.4g}")
    return str(panels.svg)


def _confusions(title: str, rows: int, curves: list[Confusion]) -> str:
    summary = ", ".join(f"{name} accuracy {each.accuracy:.4f}" for name, each in zip(NAMES, curves, strict=False))
    classes = curves[0].classes
    if len(classes) > _CLASSES:
        raise ValueError(f"{len(classes)} classes make no table that can be read; {_CLASSES} do at most")
    names = _class_names(classes)
    longest = max(width_of(name, 11) for name in names)
    widest = max(width_of(str(count), 12) for each in curves for counts in each.counts for count in counts)
    cell = max(_SIDE / len(classes), widest + 8, 24)
    panels = _Panels(
        title,
        f"Confusion on the same {rows:,} held-out rows: {summary}",
        len(curves),
        left=longest + 40,
        gap=_MARGIN,
        side=cell * len(classes),
        below=longest + 50,
    )
    for number, curve in enumerate(curves):
        panels.frame(number, "predicted class", "actual class", below=longest + 34, beside=longest + 20)
        panels.name(number, f"{NAMES[number]}, accuracy {curve.accuracy:.4f}")
        _cells(panels, number, curve, names, cell)
    return str(panels.svg)


def _cells(panels: _Panels, number: int, curve: Confusion, names: Sequence[str], cell: float) -> None:
    """Draw one table; the classes of its rows stand beside the first alone, as the others have the same."""
    svg, left = panels.svg, panels.left(number)
    for i, counts in enumerate(curve.counts):
        whole, y = sum(counts), panels.top + i * cell
        if number == 0:
            svg.text(left - 8, y + cell / 2 + 4, names[i], size=11, anchor="end", whole=curve.classes[i])
        x, below = left + (i + 0.5) * cell + 4, panels.bottom + 10
        svg.text(x, below, names[i], size=11, anchor="end", turn=-90, whole=curve.classes[i])
        for j, count in enumerate(counts):
            share = count / whole if whole else 0.0
            svg.box(left + j * cell, y, cell, cell, fill=COLOURS[number], share=share)
            fill = "#ffffff" if share > 0.6 else INK
            svg.text(left + (j + 0.5) * cell, y + cell / 2 + 4, str(count), anchor="middle", fill=fill)


def _class_names(classes: Sequence[str]) -> list[str]:
    """Return the names, long ones without their middle, and numbered where that leaves two alike."""
    cut = [_cut(name) for name in classes]
    if len(set(cut)) == len(cut):
        return cut
    return [f"{number} {_cut(name)}" for number, name in enumerate(classes, 1)]


def _cut(text: str) -> str:
    half = _NAME // 2
    return text if len(text) <= _NAME else f"{text[:half]}…{text[1 - half :]}"


def _range(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = (high - low) * 0.04 or 1.0
    return low - margin, high + margin


def _place(value: float, within: tuple[float, float]) -> float:
    return (value - within[0]) / (within[1] - within[0])
