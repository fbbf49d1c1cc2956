"""Which rows were scored, and what each model answered for them, by content. Written once.

rows/{digest}.json               rows as text: kept ones, or held-out ones as the candidate scored them
answers/{digest}/{model}.json    the scored columns that the model of this SHA-256 gave for these rows
answers/{digest}/{model}-part.json   those of the first rows, where the model was asked in pieces and was busy
"""

import hashlib
from dataclasses import dataclass

from shared.domain.ports import Documents
from shared.domain.rows import Rows
from shared.store.shelf import Shelf, Stored, encode


@dataclass(frozen=True)
class KeptRows:
    """Rows by their digest. `new`: they were not there before, and so no answers for them either."""

    digest: str
    rows: Rows
    new: bool = False


class AnswerRecords:
    def __init__(self, documents: Documents) -> None:
        self._rows, self._answers = Shelf(documents, Rows, "rows"), Shelf(documents, Rows, "answers")

    def keep_rows(self, rows: Rows) -> KeptRows:
        """Store the rows unless they are there."""
        digest = digest_of(rows)
        return KeptRows(digest, rows, new=self._rows.create(digest, rows) is not None)

    def rows(self, digest: str) -> Rows | None:
        return self._rows.record(digest)

    def keep(self, digest: str, model: str, answers: Rows) -> None:
        """Store what the model answered; what it answered first stays."""
        self._answers.create(f"{digest}/{model}", answers)

    def load(self, digest: str, model: str) -> Rows | None:
        return self._answers.record(f"{digest}/{model}")

    def part(self, digest: str, model: str) -> Stored[Rows]:
        """Return what the model has answered for the first rows."""
        key = f"{digest}/{model}-part"
        return self._answers.load(key) or Stored(self._answers.name(key), Rows([], []), "")

    def keep_part(self, before: Stored[Rows], answers: Rows) -> None:
        self._answers.save(before, answers)


def digest_of(rows: Rows) -> str:
    return hashlib.sha256(encode(rows)).hexdigest()
