"""What a BES job does: train an experiment, or score tables with an endpoint's models."""

from __future__ import annotations

import time
from pathlib import Path

from studio.jobs.import_data import import_table
from studio.learning.evaluation import as_table
from studio.learning.ilearner import pack
from studio.learning.scoring import APPEND, score_columns
from studio.learning.tables import read_table, write_table
from studio.learning.training import train
from studio.state.blobs import Blobs
from studio.state.database import Records
from studio.state.models import Models
from studio.state.records import Endpoint, Job, Reference


def carry_out(folder: Path, storage: str, job: Job) -> dict[str, Reference]:
    """Do the job and return where its outputs are. Raises `ModuleError` and `StudioError`."""
    blobs, endpoint = Blobs(storage), Records(folder).get(Endpoint, job.parent)
    tables = {
        port: read_table(blobs.read(reference, port), reference.relative_location or "")
        for port, reference in job.inputs.items()
    }
    outputs: dict[str, bytes] = {}
    if experiment := endpoint.training:
        values = {**experiment.parameters, **job.parameters}
        data = import_table(blobs, values[experiment.imports]) if experiment.imports else tables[endpoint.inputs[0]]
        for trained in train(experiment, data, job.parameters):
            part = trained.part
            outputs[part.model] = pack(trained.model)
            outputs[part.evaluation] = as_table(trained.evaluation, _name(job, part.evaluation))
            outputs[part.scored] = write_table(trained.scored, _name(job, part.scored))
    else:
        models, now = Models(folder), time.time()
        append = job.parameters.get(APPEND, "True").lower() != "false"
        for scorer in endpoint.scorers:
            rows = tables[scorer.input]
            scored = score_columns(models.load(scorer.resource.serving(now)), rows)
            outputs[scorer.output] = write_table({**(rows if append else {}), **scored}, _name(job, scorer.output))
    for name, content in outputs.items():
        blobs.write(job.outputs[name], content, name)
    return job.outputs


def _name(job: Job, port: str) -> str:
    return job.outputs[port].relative_location or ""
