"""Parts of the local workspace's page: plots, numbers, links and examples."""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from aml.page.example import example
from aml.page.plots import HEIGHT, WIDTH, number, plot
from aml.page.views import duration, link_of

HOSTILE = 'it\'s "$(id)" `id` \\ \n <b>ü</b> 😀)'


def test_a_plot_is_within_its_frame_and_has_gaps_where_no_number_is() -> None:
    shown = plot([(2, 1.0), (0, -1.0), (1, 0.0), (3, math.nan), (4, 5.0), (5, math.inf), (6, 1.0), (7, 2.0)])
    assert shown
    assert [len(line.split()) for line in shown.lines] == [3, 2]
    assert len(shown.dots) == 1
    places = [tuple(map(float, place.split(","))) for line in shown.lines for place in line.split()]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in [*places, *shown.dots])
    assert (shown.lowest, shown.highest, shown.first, shown.last) == ("-1", "5", "0", "7")


@given(st.lists(st.tuples(st.integers(-(2**62), 2**62), st.floats()), max_size=8))
def test_every_metric_has_a_plot_or_none(points: list[tuple[int, float]]) -> None:
    shown = plot(points)
    assert (shown is None) == (sum(math.isfinite(value) for _, value in points) < 2)
    if shown:
        places = [tuple(map(float, place.split(","))) for line in shown.lines for place in line.split()]
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in [*places, *shown.dots])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5"), (math.nan, "NaN"), (-math.inf, "-Infinity"), (1e-9, "1e-09"), (12345.678, "1.235e+04")],
)
def test_a_number_has_the_digits_that_matter(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (61, "1 min 1 s"), (3599.8, "1 h 0 min"), (7322, "2 h 2 min")],
)
def test_a_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("address", "text", "place"),
    [
        ("/subscriptions/s/resourceGroups/g/providers/p/workspaces/w/models/a/versions/1", "a:1", "/models/a"),
        ("azureml:/subscriptions/s/resourceGroups/g/providers/p/workspaces/w/data/a/versions/1", "a:1", ""),
        ("/subscriptions/s/providers/p/workspaces/w/environments/a/versions/1", "a:1", ""),
        ("azureml://jobs/j/outputs/o/paths/x", "azureml://jobs/j/outputs/o/paths/x", "/jobs/j"),
        ("javascript:alert(1)", "javascript:alert(1)", ""),
        ("", "", ""),
    ],
)
def test_a_link_leads_to_the_page_of_what_an_address_names(address: str, text: str, place: str) -> None:
    shown = link_of(address)
    assert (shown.text, shown.place) == (text, place)


def saved(folder: Path, model: Any) -> Path:
    (folder / "m").mkdir(parents=True)
    skops.io.dump(model, folder / "m" / "model.skops")
    return folder


def test_an_example_has_the_columns_that_the_model_knows(tmp_path: Path) -> None:
    rows = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 2.0]])
    unnamed = saved(tmp_path / "unnamed", make_pipeline(LogisticRegression()).fit(rows, [0, 1]))
    assert example(unnamed) == {"input_data": [[0.0, 0.0, 0.0]]}
    inner = LogisticRegression().fit(rows, [0, 1])
    inner.feature_names_in_ = np.array(["age", "hours", HOSTILE], dtype=object)
    named = saved(tmp_path / "named", inner)
    expected = {"columns": ["age", "hours", HOSTILE], "index": [0], "data": [[0.0, 0.0, 0.0]]}
    assert example(named) == {"input_data": expected}
    signature = json.dumps([{"type": "string", "name": "job"}, {"type": "double", "name": "age"}])
    (named / "m" / "MLmodel").write_text(json.dumps({"signature": {"inputs": signature}}))
    assert example(named) == {"input_data": {"columns": ["job", "age"], "index": [0], "data": [["", 0.0]]}}


@pytest.mark.parametrize(
    "text", ["", "[", "signature: 1", 'signature: {inputs: "[1]"}', "[[" * 300, 'signature: {inputs: "[]"}']
)
def test_a_file_that_describes_no_model_gives_no_example(tmp_path: Path, text: str) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "MLmodel").write_text(text)
    (tmp_path / "m" / "a.skops").write_text(text)
    assert example(tmp_path) is None
    with zipfile.ZipFile(tmp_path / "m" / "a.skops", "w") as archive:
        archive.writestr("schema.json", text)
    assert example(tmp_path) is None
    assert example(tmp_path / "nowhere") is None
