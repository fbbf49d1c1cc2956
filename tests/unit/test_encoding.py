"""The Encoder gives what the fitted ColumnTransformer gives, for any rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.errors import StudioError
from studio.learning.encoding import Encoder
from studio.learning.manifest import Column
from studio.learning.training import _prepared

NUMBERS = st.floats(-1e9, 1e9).map(lambda number: round(number, 3)) | st.just(np.nan)
WORDS = st.sampled_from(["red", "Red", "7", "7.0", "é", ""])
NEW_WORDS = WORDS | st.sampled_from(["never seen", " red"])


def _rows(draw: st.DrawFn, columns: list[Column], words: st.SearchStrategy[str]) -> pd.DataFrame:
    count = draw(st.integers(1, 6))
    cells = {column.name: NUMBERS if column.numeric else words for column in columns}
    return pd.DataFrame(
        {
            name: pd.Series(
                [cell or np.nan for cell in draw(st.lists(each, min_size=count, max_size=count))]
                if each is words
                else draw(st.lists(each, min_size=count, max_size=count)),
                dtype=object if each is words else float,
            )
            for name, each in cells.items()
        }
    )


@st.composite
def rows_to_learn_from_and_to_score(draw: st.DrawFn) -> tuple[list[Column], pd.DataFrame, pd.DataFrame]:
    kinds = draw(st.lists(st.sampled_from(["Double", "String"]), min_size=1, max_size=5))
    columns = [Column(f"c{number}", kind) for number, kind in enumerate(kinds)]
    return columns, _rows(draw, columns, WORDS), _rows(draw, columns, NEW_WORDS)


@settings(max_examples=40)
@given(rows_to_learn_from_and_to_score())
@pytest.mark.filterwarnings("ignore")
def test_rows_are_encoded_as_the_fitted_transformer_does(
    given_rows: tuple[list[Column], pd.DataFrame, pd.DataFrame],
) -> None:
    columns, known, new = given_rows
    names = [column.name for column in columns]
    transformer = _prepared(columns).fit(known)
    encoder = Encoder(transformer, names)
    for rows in (known, new):
        as_text = {name: ["" if cell != cell else str(cell) for cell in rows[name]] for name in rows}
        as_values = {name: [None if cell != cell else cell for cell in rows[name]] for name in reversed(rows.columns)}
        expected = transformer.transform(rows)
        np.testing.assert_array_equal(encoder.encode(as_text, len(rows)), expected)
        np.testing.assert_array_equal(encoder.encode(as_values, len(rows)), expected)


def test_a_model_of_an_earlier_version_has_the_names_of_its_columns_in_its_transformer() -> None:
    rows = pd.DataFrame({"job": ["x", "y", "x"], "age": [1.0, 2.0, 4.0]})
    columns = [Column("job", "String"), Column("age", "Double")]
    earlier = _prepared(columns)
    earlier.transformers = [
        (kind, steps, [columns[i].name for i in where]) for kind, steps, where in earlier.transformers
    ]
    encoder = Encoder(earlier.fit(rows), [column.name for column in columns])
    np.testing.assert_array_equal(encoder.encode({"job": ["y"], "age": ["2"]}, 1), earlier.transform(rows[1:2]))


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("x", "'x' is not a number"),
        ([1], "'[1]' is not a number"),
        ("inf", "too large"),
        (1e300, "too large"),
        ("9" * 999, "too large"),
    ],
)
def test_a_cell_that_is_not_a_number_is_named(cell: object, says: str) -> None:
    encoder = Encoder(_prepared([Column("age", "Double")]).fit(np.array([[1.0], [2.0], [4.0]])), ["age"])
    with pytest.raises(StudioError) as refused:
        encoder.encode({"age": ["1", "", cell]}, 3)
    assert (refused.value.detail, refused.value.target) == ("InputParseError", "age")
    assert "'age'" in refused.value.message
    assert says.rpartition(" is ")[2] in refused.value.message
