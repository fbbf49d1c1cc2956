"""The answers of an online endpoint, put into the columns that Studio's Score Model gives. No I/O.

What a deployment answers is what its model's `predict` or its script's `run` gives: a list of labels or numbers, a list
of lists, a list of objects, or one object with such a list; text where a script has made JSON of it itself.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from shared.domain.azureml import OnlineScoring
from shared.domain.gate.scored import LABELS, OF_CLASS, PROBABILITIES
from shared.domain.proof_rows import SCORED
from shared.domain.rows import Rows


def read_answers(body: Any, scoring: OnlineScoring, count: int) -> Rows:
    """Return the scored columns of so many rows; raises ValueError, which says what is wrong with the answer."""
    answers = _answers_in(body)
    if len(answers) != count:
        raise ValueError(f"{len(answers)} answers for {count} rows")
    if all(isinstance(each, Mapping) and LABELS in each for each in answers):
        return _as_named(answers)
    if scoring.answer in ("label", "value"):
        return Rows([LABELS], [[_text(_single(each))] for each in answers])
    if scoring.answer == "probability":
        return _of_two([_probability(each, scoring.classes) for each in answers], scoring.classes)
    given = [_probabilities(each, scoring.classes) for each in answers]
    if len(scoring.classes) == 2:
        return _of_two([each[1] for each in given], scoring.classes)
    columns = [LABELS, *(f'{OF_CLASS}{name}"' for name in scoring.classes)]
    return Rows(columns, [[scoring.classes[each.index(max(each))], *map(_text, each)] for each in given])


def _answers_in(body: Any) -> list[Any]:
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError:
            raise ValueError("text that is not JSON") from None
    if isinstance(body, Mapping) and len(body) == 1:
        [body] = body.values()
    if not isinstance(body, list):
        raise ValueError("no list of answers")
    return body


def _as_named(answers: Sequence[Mapping[str, Any]]) -> Rows:
    """Return the columns of objects that have Studio's own names."""
    columns = [name for name in answers[0] if name.startswith(SCORED)]
    if any(name not in each for each in answers for name in columns):
        raise ValueError("objects of different members")
    return Rows(columns, [[_text(each[name]) for name in columns] for each in answers])


def _of_two(probabilities: Sequence[float], classes: Sequence[str]) -> Rows:
    """Return the probability of the positive class, the last one, and the label where the classes have names."""
    if len(classes) != 2:
        return Rows([PROBABILITIES], [[_text(each)] for each in probabilities])
    return Rows([LABELS, PROBABILITIES], [[classes[each > 0.5], _text(each)] for each in probabilities])


def _probability(answer: Any, classes: Sequence[str]) -> float:
    """Return the probability of the positive class, which may come with those of the others before it."""
    if isinstance(answer, Mapping) and classes and classes[-1] in answer:
        return _number(answer[classes[-1]])
    values = _values(answer)
    if len(values) not in (1, 2):
        raise ValueError(f"{len(values)} numbers for a row; scoring.answer: probability is for a two-class model")
    return _number(values[-1])


def _probabilities(answer: Any, classes: Sequence[str]) -> list[float]:
    if isinstance(answer, Mapping) and all(name in answer for name in classes):
        return [_number(answer[name]) for name in classes]
    values = _values(answer)
    if len(values) != len(classes):
        raise ValueError(f"{len(values)} numbers for a row, and scoring.classes has {len(classes)}")
    return [_number(each) for each in values]


def _single(answer: Any) -> Any:
    values = _values(answer)
    if len(values) != 1:
        raise ValueError(f"{len(values)} values for a row; is scoring.answer right?")
    return values[0]


def _values(answer: Any) -> list[Any]:
    if isinstance(answer, Mapping):
        return list(answer.values())
    return answer if isinstance(answer, list) else [answer]


def _number(value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 1:
        raise ValueError(f"{str(value)[:40]!r}, which is not a probability")
    return number


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, int | float):  # truth values too
        return str(value)
    raise ValueError("a list or an object in the place of a label or number")
