"""What a BES job does: train an experiment, or score a table with an endpoint's model."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd

from studio.blobs import Blobs
from studio.evaluation import as_table
from studio.experiments import load_experiment
from studio.models import Models, pack
from studio.records import Endpoint, Job, Records, Reference
from studio.scoring import score
from studio.training import read_table, train


def carry_out(folder: Path, storage: str, job: Job) -> dict[str, Reference]:
    """Do the job and return where its outputs are. Raises `ModuleError` and `StudioError`."""
    blobs, records = Blobs(storage), Records(folder)
    endpoint = records.get(Endpoint, job.parent)
    (port, reference), *_ = job.inputs.items()
    data = blobs.read(reference, port)
    if endpoint.experiment:
        experiment = load_experiment(endpoint.experiment)
        trained = train(experiment, data, job.parameters)
        outputs = {experiment.model: pack(trained.model), experiment.evaluation: as_table(trained.evaluation)}
    else:
        outputs = {"output1": _scored(Models(folder), endpoint, data)}
    for name, content in outputs.items():
        blobs.write(job.outputs[name], content, name)
    return job.outputs


def _scored(models: Models, endpoint: Endpoint, data: bytes) -> bytes:
    assert endpoint.resource is not None, "an endpoint that trains nothing serves a model"
    model = models.load(endpoint.resource.serving(time.time()))
    table = read_table(data)
    rows = table.astype(object).where(table.notna(), None).values.tolist()
    scored = score(model, [str(name) for name in table.columns], rows)
    return pd.DataFrame(scored.values, columns=scored.columns).to_csv(index=False).encode()
