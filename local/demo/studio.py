"""The demo with the local Studio: new data, a gate, an update without effect, a rollback."""

from __future__ import annotations

from pathlib import Path
from queue import SimpleQueue

import requests
from rich.console import Console
from rich.markup import escape

from local.azurite import azurite
from local.children import PATIENCE
from local.datasets import as_csv, with_a_short_row, with_shuffled_labels
from local.demo.story import Story
from local.events import starting
from local.triggers import triggers
from local.workplace import FIRST_ROWS, PIPELINE, Workplace, workplace
from shared.domain.arrivals import ArrivalState
from shared.domain.jobs import JobState
from shared.domain.rows import Rows

NEW_ROWS = 400
MORE_ROWS = 450
#: The Studio's queue and its training take a moment here too, so that there is something to follow; and it takes orders
#: to misbehave.
PACE = ("--queued-for", "1", "--slow", "1", "--control")
PROOF_TIMEOUT = "6s"  #: in place of the sample's: nobody wants to watch an update without effect for three minutes


def run(console: Console, folder: Path, keep: bool) -> None:
    heard: SimpleQueue[str] = SimpleQueue()
    with (
        starting(console, "starting Azurite, the local Studio and the triggers") as status,
        azurite(folder / "azurite" if keep else None) as storage,
        workplace(storage, folder, *PACE, apart="") as place,
        triggers(_impatient(place, folder), heard.put),
    ):
        story = StudioStory(console, status, place, heard)
        story.published()
        before = story.retrained()
        story.broken()
        story.shuffled()
        story.without_effect()
        story.rolled_back(before)
        story.history(8)


class StudioStory(Story[Workplace]):
    service_job = "BES job"

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
        self._check(rows > 0, f"both models were judged on the same {rows} held-out rows")
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


def _impatient(place: Workplace, folder: Path) -> dict[str, str]:
    """Return the app's settings with a pipelines file whose proof waits for a moment only."""
    sample = Path(place.settings["PIPELINES_FILE"])
    text = sample.read_text("utf-8").replace("timeout: 3m", f"timeout: {PROOF_TIMEOUT}")
    file = folder / "pipelines.yaml"
    file.write_text(text.replace("rows: samples/", f"rows: {sample.parent}/samples/"), "utf-8")
    place.settings["PIPELINES_FILE"] = str(file)
    return place.settings
