"""A data set is read once, as a stream: its content is hashed and checked before it costs a training."""

from __future__ import annotations

import hashlib

from shared.arriving import Examined
from shared.inspection import HEAD, find_fault
from shared.jobs import Dataset
from shared.pipelines import Pipeline
from shared.ports import TrainingData


def examine(pipeline: Pipeline, dataset: Dataset, data: TrainingData) -> Examined:
    """Return the hash and the fault of this version. Raises `DataChanged`."""
    digest, head = hashlib.sha256(), bytearray()
    for chunk in data.read(dataset):
        digest.update(chunk)
        if len(head) < HEAD:
            head += chunk[: HEAD - len(head)]
    fault = find_fault(dataset.path, bytes(head), len(head) == dataset.size, pipeline.columns)
    return Examined(sha256=digest.hexdigest(), fault=fault)
