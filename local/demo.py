"""`run.py demo`: the whole product on this machine, step by step, each step checked while it happens."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue

import requests
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.status import Status
from rich.table import Table

from local.azurite import azurite
from local.children import PATIENCE, NotStarted, end_in_order
from local.commands import parser_of
from local.datasets import as_csv, with_a_short_row, with_shuffled_labels
from local.events import starting
from local.triggers import triggers
from local.workplace import FIRST_ROWS, PIPELINE, Workplace, workplace
from shared.app import App
from shared.base.settings import Settings
from shared.domain.arrivals import Arrival, ArrivalState, arrival_id
from shared.domain.gate.verdict import Outcome, Verdict
from shared.domain.jobs import JobState, RetrainingJob
from shared.domain.ports import BesJob
from shared.domain.rows import Rows
from shared.store.history_check import verify

NEW_ROWS = 400
MORE_ROWS = 450
#: The Studio's queue and its training take a moment here too, so that there is something to follow; and it takes orders
#: to misbehave.
PACE = ("--queued-for", "1", "--slow", "1", "--control")
PROOF_TIMEOUT = "6s"  #: in place of the sample's: nobody wants to watch an update without effect for three minutes

#: What a reader may do after the demo.
NEXT = (
    ("Keep it running:", "python3 run.py up"),
    ("With your own data:", "python3 run.py new NAME DATA.csv --label COLUMN"),
    ("See what is live:", "python3 run.py status"),
)

_COLOURS = {
    JobState.PROMOTED: "green",
    JobState.ACCEPTED: "green",
    JobState.REJECTED: "yellow",
}
_SIGNS = {Outcome.HOLDS: ("✓", "green"), Outcome.FAILS: ("✗", "yellow"), Outcome.UNDECIDED: ("?", "yellow")}


class NotShown(Exception):
    """A step of the demo did not happen as it should."""


def main() -> int:
    chosen = parser_of("demo").parse_args()
    console = Console(record=chosen.svg is not None, width=116 if chosen.svg else None, highlight=False)
    begun = time.monotonic()
    end_in_order()
    folder = Path(tempfile.mkdtemp(prefix="relearn-"))
    try:
        run(console, folder, chosen.keep)
    except (NotShown, NotStarted) as error:
        console.print(f"\n[bold red]The demo failed:[/] {escape(str(error))}")
        return 1
    finally:
        if not chosen.keep:
            shutil.rmtree(folder, ignore_errors=True)
    console.print(f"\n[bold green]All eight steps happened and were checked[/] in {time.monotonic() - begun:.0f} s.")
    for what, command in NEXT:
        console.print(f"{what:<28}[cyan]{command}[/]", soft_wrap=True)
    if chosen.keep:
        console.print(f"{'What it made:':<28}{folder}", soft_wrap=True)
    if chosen.svg:
        picture = console.export_svg(title="python3 run.py demo")
        # The picture must not fetch its font from another host; the reader's own monospace one will do.
        chosen.svg.write_text(re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL), "utf-8")
    return 0


def run(console: Console, folder: Path, keep: bool) -> None:
    heard: SimpleQueue[str] = SimpleQueue()
    with (
        starting(console, "starting Azurite, the local Studio and the triggers") as status,
        azurite(folder / "azurite" if keep else None) as storage,
        workplace(storage, folder, *PACE, apart="") as place,
        triggers(_impatient(place, folder), heard.put),
    ):
        demo = Demo(console, status, place, heard)
        demo.published()
        before = demo.retrained()
        demo.broken()
        demo.shuffled()
        demo.without_effect()
        demo.rolled_back(before)
        demo.summary()


class Demo:
    """Watches from outside: the app's records, the services' answers, the triggers' log. It calls no flow itself."""

    def __init__(self, console: Console, status: Status, place: Workplace, heard: SimpleQueue[str]) -> None:
        self._console, self._status, self._place, self._heard = console, status, place, heard
        self._app = App(Settings(place.settings))
        self._pipeline = self._app.pipelines[PIPELINE]
        self._endpoints = self._app.endpoints_of(self._pipeline)
        self._begun = time.monotonic()

    def published(self) -> None:
        self._step(1, "The experiments are published in the local Studio")
        place = self._place
        auc = place.first.evaluations[0]["AUC"]
        training = place.settings["BREAST_CANCER_TRAINING_ADDRESS"].removeprefix(place.studio.address)
        for name, state in (
            ("local Studio", place.studio.address),
            ("training", training),
            ("Classic", place.classic.path),
            ("New", place.new.path),
            ("first model", f"trained on {FIRST_ROWS} of {len(place.rows)} rows, AUC {auc:.4f}"),
        ):
            self._state(name, state, "cyan")
        answers = self._answers()
        self._check(answers["classic"] == answers["new"], "Classic and New answer alike: one model is live on both")

    def retrained(self) -> dict[str, Rows]:
        """Return what the services answered before."""
        before = self._answers()
        self._step(2, f"New data is dropped: {NEW_ROWS} rows as a CSV blob")
        job = self._follow("november.csv", as_csv(self._place.header, self._place.rows[:NEW_ROWS]))
        self._verdict(job.verdict)
        self._check(job.state is JobState.PROMOTED, "the job is promoted", job.reason)
        rows = job.verdict.same_rows if job.verdict else 0
        self._check(rows > 0, f"both models were judged on the same {rows} rows, which the training had kept back")
        self._step(3, "The same rows, scored before and after")
        after = self._answers()
        self._compare(before, after)
        live = self._app.records.champions.load(PIPELINE).live
        for name, proof in live.proof.items() if live else ():
            self._say("[green]proof[/]", escape(f"{name} {proof.text}"))
        proven = live is not None and all(proof.proven for proof in live.proof.values())
        self._check(proven, "both web services answer with the new model, as it did in training")
        return before

    def broken(self) -> None:
        self._step(4, "A broken CSV is dropped")
        live = self._answers()
        arrival = self._arrive("december.csv", with_a_short_row(self._place.header, self._place.rows))
        set_aside = arrival.state is ArrivalState.QUARANTINED
        self._check(set_aside, "it is set aside, with the reason beside it", arrival.reason)
        aside = f"{PIPELINE}/{arrival.id}/reason.json"
        there = self._place.blobs.get_blob_client("quarantine", aside).exists()
        self._check(there, f"quarantine/{aside}")
        self._check(self._answers() == live, "the live model is untouched")

    def shuffled(self) -> None:
        self._step(5, "Data with shuffled labels is dropped: well-formed, and nothing to learn from")
        live = self._answers()
        rows = with_shuffled_labels(self._place.rows)
        job = self._follow("january.csv", as_csv(self._place.header, rows))
        self._verdict(job.verdict)
        self._check(job.state is JobState.REJECTED, "it is trained, judged, and refused by the gate", job.reason)
        self._check(self._answers() == live, "the live model is untouched")

    def without_effect(self) -> None:
        self._step(6, "The next update succeeds and has no effect: a fault of the Classic service, ordered for once")
        live = self._answers()
        order = {"kind": "no effect", "endpoint": self._place.classic.name, "count": 1}
        requests.post(f"{self._place.studio.control}/faults", json=order, timeout=PATIENCE).raise_for_status()
        job = self._follow("february.csv", as_csv(self._place.header, self._place.rows[:MORE_ROWS]))
        self._verdict(job.verdict)
        self._check(job.state is JobState.REVERTED, "this is noticed, and both services are reverted", job.reason)
        self._check(self._answers() == live, "the former model answers on both")

    def rolled_back(self, before: dict[str, Rows]) -> None:
        self._step(7, "A rollback is asked for by a message")
        message = f'{{"pipeline": "{PIPELINE}", "action": "rollback", "by": "ann", "reason": "to show it"}}'
        last = self._app.records.champions.load(PIPELINE).last
        self._place.send(message)
        self._say(escape(f"{self._place.queue}  ← {message}"))
        self._until(lambda: self._rolled_back_since(last), "the rollback")
        live = self._app.records.champions.load(PIPELINE).live
        self._say(escape(f"history entry {live.number}: {live.reason}") if live else "no history")
        after = self._answers()
        self._compare(before, after)
        self._check(after == before, "both web services answer with the first model again")

    def summary(self) -> None:
        self._step(8, "What was live, and why: the history, in which each entry has the hash of the one before")
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
        shown, seen = 0, ""
        deadline = time.monotonic() + PATIENCE
        while True:
            job = self._app.records.jobs.require(job_id).record
            for step in job.steps[shown:]:
                self._state(step.state.value, step.note, _COLOURS.get(step.state, "cyan"))
            shown = len(job.steps)
            if job.bes_job and seen != "Finished" and (now := type(self._bes(job.bes_job)).__name__) != seen:
                seen = now
                self._state("", f"BES job says {seen}", "dim")
            self._listen()
            self._status.update(f"{name}: the job is {job.state.value}" + (f", its BES job {seen}" if seen else ""))
            if job.final:
                return job
            if time.monotonic() > deadline:
                raise NotShown(f"{job_id} is still {job.state.value} after {PATIENCE:.0f} s: {job.trouble}")
            time.sleep(0.05)  # the demo is the timer here

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

    def _bes(self, bes_job: str) -> BesJob:
        return self._app.training_service(self._pipeline).status(bes_job)

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


def _impatient(place: Workplace, folder: Path) -> dict[str, str]:
    """Return the app's settings with a pipelines file whose proof waits for a moment only."""
    sample = Path(place.settings["PIPELINES_FILE"])
    text = sample.read_text("utf-8").replace("timeout: 3m", f"timeout: {PROOF_TIMEOUT}")
    file = folder / "pipelines.yaml"
    file.write_text(text.replace("rows: samples/", f"rows: {sample.parent}/samples/"), "utf-8")
    place.settings["PIPELINES_FILE"] = str(file)
    return place.settings


def _shown(cells: Sequence[str]) -> str:
    label, probability = cells
    return f"{label} (malignant: {float(probability):.6f})"


if __name__ == "__main__":
    sys.exit(main())
