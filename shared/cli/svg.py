"""Writes a small SVG: shapes in, text out. It fetches nothing, and reads well on any background."""

from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

from shared.cli.curves import Point

_WIDE = frozenset("MWmw@%")
INK, FAINT, PAPER = "#1f2328", "#d0d7de", "#ffffff"
_FONT = "system-ui, sans-serif"


class Svg:
    def __init__(self, width: int, height: int, title: str, summary: str) -> None:
        self.width, self.height = width, height
        self._title, self._summary = title, summary
        self._shapes: list[str] = []

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
        shown = f"<title>{escape(whole)}</title>" if whole not in ("", text) else ""
        turned = f' transform="rotate({turn} {x:g} {y:g})"' if turn else ""
        self._shapes.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" fill="{fill}"{turned}>'
            f"{shown}{escape(text)}</text>"
        )

    def line(self, start: Point, end: Point, *, stroke: str = INK, width: float = 1, dashes: str = "") -> None:
        (x1, y1), (x2, y2) = start, end
        self._shapes.append(f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"{_stroke(stroke, width, dashes)}/>')

    def path(self, points: Iterable[Point], *, stroke: str, width: float = 2, dashes: str = "") -> None:
        coordinates = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._shapes.append(f'<polyline points="{coordinates}" fill="none"{_stroke(stroke, width, dashes)}/>')

    def dot(self, x: float, y: float, *, fill: str) -> None:
        self._shapes.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{fill}" fill-opacity="0.45"/>')

    def box(self, x: float, y: float, width: float, height: float, *, fill: str, share: float = 1) -> None:
        self._shapes.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{fill}" '
            f'fill-opacity="{share:.3f}" stroke="{FAINT}"/>'
        )

    def __str__(self) -> str:
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" role="img" '
            f"aria-label={quoteattr(self._title)} font-family={quoteattr(_FONT)}>\n"
            f"<title>{escape(self._title)}</title>\n<desc>{escape(self._summary)}</desc>\n"
            f'<rect width="{self.width}" height="{self.height}" fill="{PAPER}"/>\n'
            + "\n".join(self._shapes)
            + "\n</svg>\n"
        )


def width_of(text: str, size: int) -> float:
    """Return how wide the text is at most, in any common font."""
    return size * sum(map(_em, text))


def _em(sign: str) -> float:
    if not sign.isascii():
        return 1.05
    return 0.95 if sign in _WIDE else 0.75 if sign.isupper() else 0.65


def _stroke(stroke: str, width: float, dashes: str) -> str:
    return f' stroke="{stroke}" stroke-width="{width:g}"' + (f' stroke-dasharray="{dashes}"' if dashes else "")
