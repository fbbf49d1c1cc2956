"""The request-response service (RRS) of a predictive web service: scores the kept rows.

POST {base}/execute?api-version=2.0&details=true with a table of strings; every cell of the answer is a string.
"""

from __future__ import annotations

from typing import Any

import requests

from shared.adapters.http import Answer, Service
from shared.configuration.file import Scoring
from shared.errors import UnexpectedAnswer
from shared.ports import Answers
from shared.rows import Rows

SCORED = "Scored "  #: how the names of the columns begin that the model fills


class ScoringService:
    def __init__(self, session: requests.Session, name: str, scoring: Scoring) -> None:
        self._scoring = scoring
        self._service = Service(
            session, f"scoring of {name}", scoring.address, lambda: f"Bearer {scoring.key.reveal()}"
        )

    def score(self, rows: Rows) -> Answers:
        """Return the scored columns (labels, probabilities) of each row, as text."""
        table = {"ColumnNames": rows.columns, "Values": rows.values}
        body = {"Inputs": {self._scoring.input: table}, "GlobalParameters": {}}
        answer = self._service.call("POST", "execute", body=body, **{"api-version": "2.0", "details": "true"})
        return _scored(answer, self._scoring.output, len(rows.values))


def _scored(answer: Answer, output: str, expected: int) -> Answers:
    body: Any = answer.json()
    try:
        results = body["Results"]
        value = results[output]["value"]
        names, values = value["ColumnNames"], value["Values"]
        columns = [index for index, name in enumerate(names) if str(name).startswith(SCORED)]
        answers = [[str(row[index]) for index in columns] for row in values]
    except (KeyError, TypeError, IndexError):
        raise UnexpectedAnswer(f"{answer.asked} answered no table for the output {output!r}") from None
    if not columns or len(answers) != expected:
        raise UnexpectedAnswer(
            f"{answer.asked} answered {len(answers)} rows with {len(columns)} scored columns for {expected} rows"
        )
    return answers
