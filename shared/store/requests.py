"""What became of each message.

requests/{id}.json             of a message sent by hand, or one that could not be carried out
"""

from datetime import datetime

from shared.domain.messages import Request
from shared.domain.ports import Documents
from shared.store.shelf import Shelf, stem


class RequestRecords:
    def __init__(self, documents: Documents) -> None:
        self._documents, self._notes = documents, Shelf(documents, dict[str, str], "requests")

    def note(self, request_id: str, outcome: str, request: Request | None, pipeline: str | None = None) -> None:
        """Write down what became of a message, in place of what was said of an earlier try.

        `request` is what the message asks for; None where it cannot be read, or an earlier version did not record it.
        """
        note = {"pipeline": request.pipeline if request else pipeline, "outcome": outcome}
        note |= {"by": request.by, "reason": request.reason} if request else {}
        self._notes.put(request_id, {name: text for name, text in note.items() if text})

    def all(self) -> list[tuple[str, datetime]]:
        """Return the ids of the messages of which something is written down, and when it was, the newest first."""
        return [(stem(name), at) for name, at in self._documents.latest("requests/")]

    def load(self, request_id: str) -> dict[str, str]:
        """Return what is written down about a message: its outcome, and of some the pipeline, who asked, and why."""
        return self._notes.record(request_id) or {}

    def outcome(self, request_id: str) -> str | None:
        """Return what is said of a message: `done: ...`, or `not done`, `not yet`, `failed`, `refused`."""
        return self.load(request_id).get("outcome")

    def remove_before(self, moment: datetime) -> None:
        """Remove what was written down before the moment, and not since."""
        for name, at in self._documents.latest("requests/"):
            if at < moment:
                self._documents.delete(name)
