"""What the handlers share: the workspace, and what runs beside the calls."""

from __future__ import annotations

from dataclasses import dataclass, field

from aml.faults import Faults
from aml.jobs.runner import JobRunner
from aml.runs.real import RealMlflow
from aml.serving.runner import Serving
from aml.state.workspace import Workspace
from aml.throttling import Buckets


@dataclass(frozen=True)
class Context:
    workspace: Workspace
    jobs: JobRunner
    serving: Serving
    faults: Faults
    mlflow: RealMlflow | None = None  #: the server behind MLflow's calls, where it is a real one
    buckets: Buckets = field(default_factory=Buckets)
