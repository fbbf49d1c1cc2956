"""Commands against Azurite and the local Studio: the pipelines file, and what tests ask again and again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from local.children import ROOT
from local.workplace import PIPELINE
from shared.domain.jobs import JobState
from tests.support.flow import Flow
from tests.support.terminal import CommandLine
from tests.support.waiting import until


def approving(entry: dict[str, Any]) -> None:
    entry["approval"] = {"required": True}


def changed_file(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    body = yaml.safe_load((ROOT / "pipelines.sample.yaml").read_text("utf-8"))
    entry = body["pipelines"][PIPELINE]
    entry["proof"]["rows"] = str(ROOT / entry["proof"]["rows"])
    change(entry)
    file = folder / "pipelines.yaml"
    file.write_text(yaml.safe_dump(body), "utf-8")
    return file


@dataclass
class Terminal(CommandLine):
    flow: Flow


def job_of(terminal: Terminal, name: str) -> str:
    """Return the first job on this data."""
    jobs = [job for job in terminal.json("jobs")["jobs"] if job["dataset"]["path"].endswith(name)]
    return str(min(jobs, key=lambda job: job["received_at"])["id"])


def wait(flow: Flow, job: str, state: JobState) -> None:
    def reached() -> bool:
        flow.let_trainings_end()
        flow.poll()
        return flow.job(job).state is state

    until(reached, lambda: flow.job(job))
