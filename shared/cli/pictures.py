"""Candidate and champion as a picture: ROC curves, residuals or confusion, by what was learnt. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from shared.cli.curves import Confusion, Curve, Point, Residuals, Roc
from shared.cli.svg import FAINT, INK, Svg

#: blue and vermilion of Okabe and Ito, which also those tell apart who see red and green alike
COLOURS = ("#0072b2", "#d55e00")
NAMES = ("candidate", "champion")
_DASHES = ("", "6 4")
_SIDE, _LEFT, _TOP, _GAP = 360, 70, 84, 90
_DOTS = 1500  #: of one model; more hide each other
_CLASSES = 15  #: more cells cannot be read


def draw(title: str, rows: int, curves: Sequence[Curve]) -> str:
    """Return the SVG of the candidate's curve and, if there is one, the champion's. Raises ValueError."""
    first = curves[0]
    if isinstance(first, Roc):
        return _rocs(title, rows, [each for each in curves if isinstance(each, Roc)])
    if isinstance(first, Residuals):
        return _residuals(title, rows, [each for each in curves if isinstance(each, Residuals)])
    return _confusions(title, rows, [each for each in curves if isinstance(each, Confusion)])


def _rocs(title: str, rows: int, curves: list[Roc]) -> str:
    told = ", ".join(f"{name} AUC {each.area:.4f}" for name, each in zip(NAMES, curves, strict=False))
    picture = _panels(title, f"ROC on the same {rows:,} held-out rows: {told}", 1)
    left, bottom = _LEFT, _TOP + _SIDE

    def at(point: Point) -> Point:
        return left + point[0] * _SIDE, bottom - point[1] * _SIDE

    _frame(picture, left, "share of negative rows taken for positive", "share of positive rows found")
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        _ticks(picture, left, f"{tick:g}", tick, f"{tick:g}", tick)
    picture.line(at((0, 0)), at((1, 1)), stroke=FAINT, dashes="3 3")
    for number, curve in reversed(list(enumerate(curves))):  # the candidate on top
        picture.path(map(at, curve.points), stroke=COLOURS[number], dashes=_DASHES[number])
        y = bottom - 18 - 20 * (len(curves) - 1 - number)
        picture.line((left + 160, y - 4), (left + 190, y - 4), stroke=COLOURS[number], width=2, dashes=_DASHES[number])
        picture.text(left + 198, y, f"{NAMES[number]}, AUC {curve.area:.4f}")
    return str(picture)


def _residuals(title: str, rows: int, curves: list[Residuals]) -> str:
    told = ", ".join(f"{name} RMSE {each.root_mean_square:.4g}" for name, each in zip(NAMES, curves, strict=False))
    picture = _panels(title, f"Residuals on the same {rows:,} held-out rows: {told}", len(curves))
    across = _range([x for each in curves for x, _ in each.points])
    most = max(abs(y) for each in curves for _, y in each.points) or 1.0
    up = _range([-most, most])
    for number, curve in enumerate(curves):
        left = _LEFT + number * (_SIDE + _GAP)
        _frame(picture, left, "predicted", "truth less prediction" if number == 0 else "")
        for share in (0.0, 0.5, 1.0):
            value, error = across[0] + share * (across[1] - across[0]), up[0] + share * (up[1] - up[0])
            _ticks(picture, left, f"{value:.3g}", share, f"{error:.3g}" if abs(error) > 1e-12 * most else "0", share)
        middle = _TOP + _SIDE / 2
        for x, y in curve.points[:: math.ceil(len(curve.points) / _DOTS)]:
            picture.dot(left + _place(x, across) * _SIDE, _TOP + _SIDE - _place(y, up) * _SIDE, fill=COLOURS[number])
        picture.line((left, middle), (left + _SIDE, middle), stroke=INK)
        picture.text(left, _TOP - 10, f"{NAMES[number]}, RMSE {curve.root_mean_square:.4g}")
    return str(picture)


def _confusions(title: str, rows: int, curves: list[Confusion]) -> str:
    told = ", ".join(f"{name} accuracy {each.accuracy:.4f}" for name, each in zip(NAMES, curves, strict=False))
    picture = _panels(title, f"Confusion on the same {rows:,} held-out rows: {told}", len(curves))
    classes = curves[0].classes
    if len(classes) > _CLASSES:
        raise ValueError(f"{len(classes)} classes make no table that can be read; {_CLASSES} do at most")
    cell = _SIDE / len(classes)
    for number, curve in enumerate(curves):
        left = _LEFT + number * (_SIDE + _GAP)
        _frame(picture, left, "scored as", "class" if number == 0 else "")
        picture.text(left, _TOP - 10, f"{NAMES[number]}, accuracy {curve.accuracy:.4f}")
        for i, counts in enumerate(curve.counts):
            whole = sum(counts)
            y = _TOP + i * cell
            picture.text(left - 6, y + cell / 2 + 4, _cut(classes[i]), size=11, anchor="end")
            picture.text(left + (i + 0.5) * cell, _TOP + _SIDE + 16, _cut(classes[i]), size=11, anchor="middle")
            for j, count in enumerate(counts):
                share = count / whole if whole else 0.0
                x = left + j * cell
                picture.box(x, y, cell, cell, fill=COLOURS[number], share=share)
                fill = "#ffffff" if share > 0.6 else INK
                picture.text(x + cell / 2, y + cell / 2 + 4, str(count), anchor="middle", fill=fill)
    return str(picture)


def _panels(title: str, told: str, count: int) -> Svg:
    picture = Svg(_LEFT + count * _SIDE + (count - 1) * _GAP + 30, _TOP + _SIDE + 60, title, told)
    picture.text(_LEFT, 24, title, size=max(6, min(15, int(1.6 * (picture.width - _LEFT) / len(title)))))
    picture.text(_LEFT, 44, told.partition(":")[0], size=12)
    return picture


def _frame(picture: Svg, left: float, across: str, up: str) -> None:
    bottom = _TOP + _SIDE
    picture.line((left, bottom), (left + _SIDE, bottom))
    picture.line((left, _TOP), (left, bottom))
    picture.text(left + _SIDE / 2, bottom + 38, across, anchor="middle")
    if up:
        picture.text(left - 52, _TOP + _SIDE / 2, up, anchor="middle", turn=-90)


def _ticks(picture: Svg, left: float, across: str, x: float, up: str, y: float) -> None:
    bottom = _TOP + _SIDE
    picture.text(left + x * _SIDE, bottom + 16, across, size=11, anchor="middle")
    picture.text(left - 8, bottom - y * _SIDE + 4, up, size=11, anchor="end")


def _range(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = (high - low) * 0.04 or 1.0
    return low - margin, high + margin


def _place(value: float, within: tuple[float, float]) -> float:
    return (value - within[0]) / (within[1] - within[0])


def _cut(text: str) -> str:
    return text if len(text) <= 9 else f"{text[:8]}…"
