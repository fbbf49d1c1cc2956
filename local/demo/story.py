"""What each story of the demo is made of: data is dropped, what happens is shown as it happens, and is checked.

It watches from outside: the app's records, the services' answers, the triggers' log. It calls no flow itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Generic, Protocol, TypeVar

from azure.storage.blob import BlobServiceClient
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.status import Status
from rich.table import Table

from local.children import PATIENCE
from local.workplace import PIPELINE
from shared.app import App
from shared.base.settings import Settings
from shared.domain.arrivals import Arrival, ArrivalState, arrival_id
from shared.domain.gate.verdict import Outcome, Verdict
from shared.domain.jobs import JobState, RetrainingJob
from shared.domain.rows import Rows
from shared.store.history_check import verify

_COLOURS = {
    JobState.PROMOTED: "green",
    JobState.ACCEPTED: "green",
    JobState.REJECTED: "yellow",
}
_SIGNS = {Outcome.HOLDS: ("✓", "green"), Outcome.FAILS: ("✗", "yellow"), Outcome.UNDECIDED: ("?", "yellow")}


class NotShown(Exception):
    """A step of the demo did not happen as it should."""


class Place(Protocol):
    """Where the story happens: the app's settings, and what a user does with data and messages."""

    @property
    def settings(self) -> dict[str, str]: ...
    @property
    def container(self) -> str: ...
    @property
    def queue(self) -> str: ...
    @property
    def blobs(self) -> BlobServiceClient: ...
    def drop(self, name: str, content: bytes) -> str: ...
    def send(self, message: str) -> None: ...


P = TypeVar("P", bound=Place)


class Story(Generic[P]):
    """`service_job` is what the training's service calls its job."""

    service_job = "job"

    def __init__(self, console: Console, status: Status, place: P, heard: SimpleQueue[str]) -> None:
        self._console, self._status, self._place, self._heard = console, status, place, heard
        self._said = ""  #: state of the training at its service
        self._app = App(Settings(place.settings))
        self._pipeline = self._app.pipelines[PIPELINE]
        self._endpoints = self._app.endpoints_of(self._pipeline)
        self._begun = time.monotonic()

    def history(self, number: int) -> None:
        self._step(number, "What was live, and why: the history, in which each entry has the hash of the one before")
        entries = list(self._app.records.champions.entries(PIPELINE))
        table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
        for title in ("entry", "what", "model", "SHA-256 of entry"):
            table.add_column(title, no_wrap=True)
        for entry, digest in entries:
            model = next(iter(entry.models.values())).sha256
            table.add_row(str(entry.number), entry.action.value, model[:12], digest[:12])
        self._console.print(Padding(table, (0, 0, 0, 12)))
        for entry, _ in entries:
            self._state(f"entry {entry.number}", entry.reason, "cyan")
        found = verify(self._app.records.champions.stored_history(PIPELINE), self._app.records.champions.load(PIPELINE))
        self._check(found.whole, "nothing of it was edited or removed since")

    def _rolled_back_since(self, last: int) -> bool:
        champion = self._app.records.champions.load(PIPELINE)
        return champion.last > last and champion.change is None

    def _follow(self, name: str, content: bytes) -> RetrainingJob:
        """Drop the data set, show what happens to it as it happens, return the job when it is final."""
        while not self._heard.empty():
            self._heard.get()
        job_id = self._arrive(name, content).job
        if job_id is None:
            raise NotShown(f"{name} became no job")
        shown, self._said = 0, ""
        deadline = time.monotonic() + PATIENCE
        while True:
            job = self._app.records.jobs.require(job_id).record
            for step in job.steps[shown:]:
                self._state(step.state.value, step.note, _COLOURS.get(step.state, "cyan"))
            shown = len(job.steps)
            self._look_at(job)
            at_service = f", its {self.service_job} {self._said}" if self._said else ""
            self._status.update(f"{name}: the job is {job.state.value}{at_service}")
            if job.final:
                return job
            if time.monotonic() > deadline:
                raise NotShown(f"{job_id} is still {job.state.value} after {PATIENCE:.0f} s: {job.trouble}")
            time.sleep(0.05)  # the demo is the timer here

    def _look_at(self, job: RetrainingJob) -> None:
        """Show what happens elsewhere: at the training's service and in the queue."""
        if job.bes_job and self._said != "Finished":
            said = type(self._app.training_service(self._pipeline).status(job.bes_job)).__name__
            if said != self._said:
                self._said = said
                self._state("", f"{self.service_job} says {said}", "dim")
        self._listen()

    def _arrive(self, name: str, content: bytes) -> Arrival:
        """Drop the data set and show what becomes of it until it is taken by a job, or set aside."""
        path = self._place.drop(name, content)
        self._say(f"{self._place.container}/{path}  ← {len(content):,} bytes")
        shown: list[ArrivalState] = []

        def done_with() -> bool:
            arrival = self._arrival(path)
            if arrival and arrival.state not in shown:
                shown.append(arrival.state)
                colour = "yellow" if arrival.state is ArrivalState.QUARANTINED else "cyan"
                self._state(arrival.state.value, arrival.reason or path, colour)
            return arrival is not None and not arrival.open

        self._until(done_with, f"the arrival of {path}")
        arrival = self._arrival(path)
        assert arrival is not None, "it was there a moment ago"
        return arrival

    def _arrival(self, path: str) -> Arrival | None:
        dataset = self._app.data.find(path)
        stored = self._app.records.arrivals.load(PIPELINE, arrival_id(dataset)) if dataset else None
        return stored.record if stored else None

    def _listen(self) -> None:
        """Show when the promotion's message is taken from the queue."""
        try:
            while True:
                if "Executing 'promote_model'" in self._heard.get_nowait():
                    self._state("", f"message taken from {self._place.queue}", "dim")
        except Empty:
            return

    def _answers(self) -> dict[str, Rows]:
        return {name: endpoint.score(self._pipeline.rows) for name, endpoint in self._endpoints.items()}

    def _compare(self, before: dict[str, Rows], after: dict[str, Rows]) -> None:
        table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
        for title in ("mean radius", "service", "first model", "now"):
            table.add_column(title)
        for index in range(2):
            for name in before:
                radius = self._pipeline.rows.values[index][0]
                table.add_row(radius, name, _shown(before[name].values[index]), _shown(after[name].values[index]))
        self._console.print(Padding(table, (0, 0, 0, 12)))

    def _verdict(self, verdict: Verdict | None) -> None:
        for finding in verdict.findings if verdict else ():
            sign, colour = _SIGNS[finding.outcome]
            self._say(f"[{colour}]gate {sign:<7}[/]", escape(finding.text))

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise NotShown(f"{what} did not happen within {PATIENCE:.0f} s")
            time.sleep(0.05)

    def _step(self, number: int, text: str) -> None:
        self._console.print(f"\n[bold]{number}  {escape(text)}[/]")
        self._status.update(escape(text))

    def _state(self, state: str, note: str, colour: str) -> None:
        self._say(f"[{colour}]{state:<12}[/]", f"[{'dim' if not state else 'default'}]{escape(note)}[/]")

    def _say(self, *cells: str) -> None:
        """Print the cells as one line behind the time; a long last cell is wrapped within its column."""
        line = Table.grid(padding=(0, 2, 0, 0))
        for _ in range(len(cells) + 1):
            line.add_column()
        line.add_row(f"   [dim]{time.monotonic() - self._begun:5.1f} s[/]", *cells)
        self._console.print(line)

    def _check(self, happened: bool, what: str, otherwise: str | None = None) -> None:
        if not happened:
            raise NotShown(f"this did not happen: {what}{f' ({otherwise})' if otherwise else ''}")
        self._console.print(f"   [green]✓[/] {escape(what)}")


def _shown(cells: Sequence[str]) -> str:
    label, probability = cells
    return f"{label} (malignant: {float(probability):.6f})"
