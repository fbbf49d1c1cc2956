"""What `compare --svg` draws, as Chromium lays it out: no label is over another, and none is cut off."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import pytest

from shared.cli.curves import Confusion, Curve, Residuals, Roc
from shared.cli.pictures import draw
from tests.browser.conftest import Windows

TITLE = f"{'a-pipeline-with-a-long-name-of-a-region' * 2}-20261126T094714-92b8dba53e against f69c3adc0689"
LONG = [f"Iris {'of the northern hills ' * number}{number}" for number in range(15)]
FLAT = [(0.0, 0.0), (0.6, 0.1), (1.0, 1.0)]
BOXES = """() => [...document.querySelectorAll('text')].map(text => {
    const {left, top, right, bottom} = text.getBoundingClientRect();
    return {text: text.textContent, left, top, right, bottom};
})"""


def confusion(classes: list[str], count: int) -> Confusion:
    return Confusion(classes, [[count] * len(classes) for _ in classes], 0.5)


@pytest.mark.parametrize(
    "curves",
    [
        [Roc(FLAT, 0.3), Roc(FLAT, 0.3)],
        [Residuals([(2.5e7, -4.35e-105), (3.4e7, 4.35e105)], 1.2e105)] * 2,
        [confusion(LONG, 1_234_567)] * 2,
        [confusion(["WWWWWWWWWWWWWWWWWWWWWWWW", "\u4e2d\u6587" * 12, "ok"], 1)],
        [confusion(["a", "b"], 5)] * 2,
    ],
    ids=["roc", "residuals", "fifteen classes", "wide signs", "two classes"],
)
def test_no_label_is_over_another_or_outside_of_the_picture(windows: Windows, curves: list[Curve]) -> None:
    picture = draw(TITLE, 4000, curves)
    width, height = map(int, re.findall(r'viewBox="0 0 (\d+) (\d+)"', picture)[0])
    with windows.tab() as page:
        page.set_viewport_size({"width": width, "height": height})
        page.set_content(f"<body style='margin:0'>{picture}</body>")
        boxes: list[dict[str, Any]] = page.evaluate(BOXES)
    for box in boxes:
        inside = box["left"] >= 0 and box["top"] >= 0 and box["right"] <= width and box["bottom"] <= height
        assert inside, (box, width, height)
    for one, other in combinations(boxes, 2):
        apart = (
            one["right"] <= other["left"]
            or other["right"] <= one["left"]
            or one["bottom"] <= other["top"]
            or other["bottom"] <= one["top"]
        )
        assert apart, (one, other)
