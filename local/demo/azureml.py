"""The demo with a local Azure Machine Learning v2 workspace: a new model gets its share of the calls step by step."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue

import requests
from rich.console import Console
from rich.markup import escape

from local.azureml import ENDPOINT, FIRST_ROWS, LEADING, SAMPLE, AzureMLPlace, azureml_place
from local.azurite import azurite
from local.children import PATIENCE
from local.datasets import as_csv, with_shuffled_labels
from local.demo.story import Story
from local.events import starting
from local.triggers import triggers
from local.workplace import PIPELINE
from shared.domain.jobs import JobState, RetrainingJob
from shared.domain.rows import Rows

NEW_ROWS = 400
MORE_ROWS = 450
BAKE = "4s"  #: of a step and of the whole switch, in place of the sample's
WIDTH = 30  #: characters of the traffic's bar


def run(console: Console, folder: Path, keep: bool) -> None:
    heard: SimpleQueue[str] = SimpleQueue()
    with (
        starting(console, "starting Azurite, a workspace with a live model, and the triggers") as status,
        azurite(folder / "azurite" if keep else None) as storage,
        azureml_place(storage, folder, "--control", apart="") as place,
        triggers(_impatient(place, folder), heard.put),
    ):
        os.environ.update({name: place.settings[name] for name in LEADING})  # this process asks the endpoint too
        story = AzureMLStory(console, status, place, heard)
        story.published()
        before = story.retrained()
        story.rolled_back(before)
        story.shuffled()
        story.failing()
        story.history(6)


class AzureMLStory(Story[AzureMLPlace]):
    service_job = "training job"
    _traffic: Mapping[str, int] = {}
    _fails = False  #: whether the next model is to fail once it has calls

    def published(self) -> None:
        self._step(1, "A component and an endpoint are in the workspace")
        workspace = self._place.workspace
        for name, state in (
            ("workspace", workspace.address),
            ("component", "train_breast_cancer:1, a scikit-learn training with MLflow metrics"),
            ("endpoint", f"{ENDPOINT}; first model trained on {FIRST_ROWS} of {len(self._place.rows)} rows"),
        ):
            self._state(name, state, "cyan")
        self._show_traffic()
        self._check(self._answers() == self._answers(), "the endpoint answers the kept rows")

    def retrained(self) -> dict[str, Rows]:
        """Return what the endpoint answered before."""
        before = self._answers()
        self._step(2, f"New data is dropped: {NEW_ROWS} rows. The new model is proven before anybody is served by it")
        job = self._follow("november.csv", as_csv(self._place.header, self._place.rows[:NEW_ROWS]))
        self._verdict(job.verdict)
        self._check(job.state is JobState.PROMOTED, "the job is promoted", job.reason)
        rows = job.verdict.same_rows if job.verdict else 0
        self._check(rows > 0, f"both models were judged on the same {rows} held-out rows")
        self._compare(before, self._answers())
        live = self._app.records.champions.load(PIPELINE).live
        proven = live is not None and all(proof.proven for proof in live.proof.values())
        self._check(proven, "all calls are answered by the new model, as it answered in training")
        return before

    def rolled_back(self, before: dict[str, Rows]) -> None:
        self._step(3, "A rollback is asked for by a message: one write, as the former model is still deployed")
        message = f'{{"pipeline": "{PIPELINE}", "action": "rollback", "by": "ann", "reason": "to show it"}}'
        last = self._app.records.champions.load(PIPELINE).last
        self._place.send(message)
        self._say(escape(f"{self._place.queue}  ← {message}"))
        self._until(lambda: self._rolled_back_since(last), "the rollback")
        self._show_traffic()
        after = self._answers()
        self._compare(before, after)
        self._check(after == before, "the endpoint answers with the first model again")

    def shuffled(self) -> None:
        self._step(4, "Data with shuffled labels is dropped: well-formed, and nothing to learn from")
        live, traffic = self._answers(), dict(self._traffic)
        rows = with_shuffled_labels(self._place.rows)
        job = self._follow("january.csv", as_csv(self._place.header, rows))
        self._verdict(job.verdict)
        self._check(job.state is JobState.REJECTED, "it is trained, judged, and refused by the gate", job.reason)
        self._check(self._answers() == live and self._shares() == traffic, "the endpoint is untouched")

    def failing(self) -> None:
        self._step(5, "The next model passes the gate and the proof, and fails once it gets calls")
        live = self._answers()
        self._fails = True
        job = self._follow("february.csv", as_csv(self._place.header, self._place.rows[:MORE_ROWS]))
        self._fails = False
        self._check(job.state is JobState.REVERTED, "this is noticed, and all calls go to the former model", job.reason)
        self._check(self._answers() == live, "the former model answers")

    def _look_at(self, job: RetrainingJob) -> None:
        super()._look_at(job)
        self._show_traffic()
        if self._fails and job.model and 0 < self._traffic.get(f"m{job.model.sha256[:12]}", 0) < 100:
            self._fails = False
            order = {"kind": "model error", "endpoint": f"m{job.model.sha256[:12]}", "count": 1000}
            control = f"{self._place.workspace.control}/faults"
            requests.post(control, json=order, timeout=PATIENCE).raise_for_status()
            self._state("", "from now on the new model's container answers 500", "dim")

    def _shares(self) -> dict[str, int]:
        return {
            name: percent
            for name, percent in self._place.workspace.remote.get(f"onlineEndpoints/{ENDPOINT}")["properties"][
                "traffic"
            ].items()
            if percent
        }

    def _show_traffic(self) -> None:
        """Show who gets the calls, when that has changed."""
        shares = self._shares()
        if shares == self._traffic:
            return
        self._traffic = shares
        colours = ("cyan", "green")
        bar = "".join(
            f"[{colour}]{chr(9608) * max(1, round(WIDTH * percent / 100))}[/]"
            for colour, percent in zip(colours, shares.values(), strict=False)
        )
        names = "  ".join(
            f"[{colour}]{escape(name)} {percent} %[/]"
            for colour, (name, percent) in zip(colours, shares.items(), strict=False)
        )
        self._say("[bold]traffic[/]     ", f"{bar}  {names}")


def _impatient(place: AzureMLPlace, folder: Path) -> dict[str, str]:
    """Return the app's settings with a pipelines file whose steps are watched for a moment."""
    text = (SAMPLE / "pipelines.yaml").read_text("utf-8")
    text = text.replace("bake: 15m", f"bake: {BAKE}").replace("time: 30m", f"time: {BAKE}")
    file = folder / "pipelines.yaml"
    file.write_text(text.replace("rows: ../", f"rows: {SAMPLE.parent}/"), "utf-8")
    place.settings["PIPELINES_FILE"] = str(file)
    return place.settings
