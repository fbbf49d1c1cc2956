"""The request-response service (RRS) of a predictive web service: scores the kept rows.

POST {base}/execute?api-version=2.0&details=true with a table of strings; every cell of the answer is a string.
"""

from typing import Any

import requests

from shared.adapters.http import Answer, Service, understood
from shared.base.errors import UnexpectedAnswer
from shared.domain.proof_rows import SCORED
from shared.domain.rows import Rows
from shared.domain.services import ScoringService

ROWS_AT_ONCE = 500  #: of one call


class RequestResponseService:
    def __init__(self, session: requests.Session, name: str, scoring: ScoringService) -> None:
        self._scoring = scoring
        address, key = scoring.place
        self._service = Service(session, f"scoring of {name}", address, lambda: f"Bearer {key.reveal()}")

    def score(self, rows: Rows) -> Rows:
        """Return the scored columns (labels, probabilities) of each row, as text."""
        parts = [self._score(rows, begin) for begin in range(0, len(rows.values), ROWS_AT_ONCE)]
        return Rows(parts[0].columns, [row for part in parts for row in part.values])

    def _score(self, rows: Rows, begin: int) -> Rows:
        values = rows.values[begin : begin + ROWS_AT_ONCE]
        table = {"ColumnNames": rows.columns, "Values": values}
        body = {"Inputs": {self._scoring.input: table}, "GlobalParameters": {}}
        answer = self._service.call("POST", "execute", body=body, **{"api-version": "2.0", "details": "true"})
        return _scored(answer, self._scoring.output, len(values))


def _scored(answer: Answer, output: str, expected: int) -> Rows:
    body: Any = answer.json()
    with understood(f"{answer.asked} answered no table for the output {output!r}"):
        value = body["Results"][output]["value"]
        names, values = value["ColumnNames"], value["Values"]
        columns = [index for index, name in enumerate(names) if str(name).startswith(SCORED)]
        answers = [[str(row[index]) for index in columns] for row in values]
    if not columns or len(answers) != expected:
        raise UnexpectedAnswer(
            f"{answer.asked} answered {len(answers)} rows with {len(columns)} scored columns for {expected} rows"
        )
    return Rows([str(names[index]) for index in columns], answers)
