"""Writes a small SVG: shapes in, text out. It fetches nothing, and reads well on any background."""

from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement, tostring

from shared.cli.curves import Point

_WIDE = frozenset("MWmw@%")
INK, FAINT, PAPER = "#1f2328", "#d0d7de", "#ffffff"


class Svg:
    def __init__(self, width: int, height: int, title: str, summary: str) -> None:
        head = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {width} {height}", "role": "img"}
        self._root = Element("svg", head | {"aria-label": title, "font-family": "system-ui, sans-serif"})
        SubElement(self._root, "title").text = title
        SubElement(self._root, "desc").text = summary
        self._add("rect", width=width, height=height, fill=PAPER)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: int = 12,
        anchor: str = "start",
        fill: str = INK,
        turn: int = 0,
        whole: str = "",
    ) -> None:
        """Write the text; `whole` is shown while a pointer is over it."""
        turned = f"rotate({turn} {x:g} {y:g})" if turn else ""
        shape = self._add("text", x=x, y=y, font_size=size, text_anchor=anchor, fill=fill, transform=turned)
        if whole in ("", text):
            shape.text = text
        else:
            title = SubElement(shape, "title")
            title.text, title.tail = whole, text

    def line(self, start: Point, end: Point, *, stroke: str = INK, width: float = 1, dashes: str = "") -> None:
        (x1, y1), (x2, y2) = start, end
        self._add("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=stroke, stroke_width=width, stroke_dasharray=dashes)

    def path(self, points: Iterable[Point], *, stroke: str, dashes: str = "") -> None:
        coordinates = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._add("polyline", points=coordinates, fill="none", stroke=stroke, stroke_width=2, stroke_dasharray=dashes)

    def dot(self, x: float, y: float, *, fill: str) -> None:
        self._add("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=2.5, fill=fill, fill_opacity=0.45)

    def box(self, x: float, y: float, width: float, height: float, *, fill: str, share: float = 1) -> None:
        self._add("rect", x=x, y=y, width=width, height=height, fill=fill, fill_opacity=share, stroke=FAINT)

    def _add(self, tag: str, **members: str | float) -> Element:
        """Add a shape on its own line. An empty member is left out."""
        given = {name.replace("_", "-"): value for name, value in members.items() if value != ""}
        texts = {name: value if isinstance(value, str) else f"{value:g}" for name, value in given.items()}
        shape = SubElement(self._root, tag, texts)
        shape.tail = "\n"
        return shape

    def __str__(self) -> str:
        return f"{tostring(self._root, encoding='unicode')}\n"


def width_of(text: str, size: int) -> float:
    """Return how wide the text is at most, in any common font."""
    return size * sum(map(_em, text))


def _em(sign: str) -> float:
    if not sign.isascii():
        return 1.05
    return 0.95 if sign in _WIDE else 0.75 if sign.isupper() else 0.65
