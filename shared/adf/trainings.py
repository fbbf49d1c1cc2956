"""Which activities train, and which updates take their models.

A training is one batch execution and the output port that gives its model; each update activity that takes that model
is a target of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.adf.artefacts import Activity, BatchExecution, Pipeline, Place, UpdateResource
from shared.adf.factory import Factory
from shared.adf.report import Report
from shared.adf.translation import extension


@dataclass
class Training:
    batch: BatchExecution
    pipeline: Pipeline
    port: str | None  #: of the model
    updates: list[UpdateResource] = field(default_factory=list)


def find_trainings(factory: Factory, report: Report) -> list[Training]:
    """Return the trainings in the order of their batches; the report says which activities make none."""
    trainings: dict[tuple[int, str | None], Training] = {}
    batches = [
        (pipeline, activity)
        for pipeline in factory.pipelines.values()
        for activity in pipeline.activities
        if isinstance(activity, BatchExecution)
    ]
    for pipeline in factory.pipelines.values():
        for update in pipeline.activities:
            if not isinstance(update, UpdateResource):
                continue
            found = _producer(factory, pipeline, update, batches)
            if found is None:
                report.leave(f"{update.where}: takes a model that no AzureMLBatchExecution of these files writes")
                continue
            owner, batch, port = found
            trainings.setdefault((id(batch), port), Training(batch, owner, port)).updates.append(update)
    for pipeline, batch in batches:
        if any(training.batch is batch for training in trainings.values()):
            continue
        if _scores_only(factory, batch):
            report.leave(f"{batch.where}: none of its outputs is an .ilearner: it scores, it does not train")
        else:
            trainings[id(batch), None] = Training(batch, pipeline, _model_port(factory, batch))
    order = [id(batch) for _, batch in batches]
    return sorted(trainings.values(), key=lambda training: order.index(id(training.batch)))


def _producer(
    factory: Factory, pipeline: Pipeline, update: UpdateResource, batches: Sequence[tuple[Pipeline, BatchExecution]]
) -> tuple[Pipeline, BatchExecution, str | None] | None:
    """Return the batch execution whose model the update takes, by the file; else by the order, when that is clear."""
    own_first = sorted(batches, key=lambda item: item[0] is not pipeline)
    outputs = [(owner, batch, port) for owner, batch in own_first for port in batch.outputs]
    for same in (_same_file, _in_folder):
        for owner, batch, port in outputs:
            if same(factory, batch.outputs[port], update.model):
                return owner, batch, port
    here = [batch for owner, batch in batches if owner is pipeline and not _scores_only(factory, batch)]
    before = [batch for batch in here if batch.name in _steps_before(pipeline, update)]
    one = before if len(before) == 1 else here
    return (pipeline, one[0], _model_port(factory, one[0])) if len(one) == 1 else None


def _same_file(factory: Factory, output: Place, model: Place) -> bool:
    if output.dataset and model.dataset:
        return output.dataset.casefold() == model.dataset.casefold()
    written, taken = factory.path(output), factory.path(model)
    if isinstance(written, str) and isinstance(taken, str):
        return written.strip("/") == taken.strip("/")
    return written is not None and written == taken


def _in_folder(factory: Factory, output: Place, model: Place) -> bool:
    # An output's path may be its folder only, as in Data Factory's own sample.
    written, taken = factory.path(output), factory.path(model)
    if not isinstance(written, str) or not isinstance(taken, str) or extension(written):
        return False
    return taken.strip("/").startswith(f"{written.strip('/')}/")


def _steps_before(pipeline: Pipeline, activity: Activity) -> set[str]:
    by_name = {step.name: step for step in pipeline.activities}
    found: set[str] = set()
    waiting = list(activity.after)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += by_name[name].after if name in by_name else ()
    return found


def _scores_only(factory: Factory, batch: BatchExecution) -> bool:
    return all(ending not in ("", ".ilearner") for ending in factory.endings(batch).values())


def _model_port(factory: Factory, batch: BatchExecution) -> str | None:
    endings = factory.endings(batch)
    models = [port for port, ending in endings.items() if ending == ".ilearner"]
    # What is surely a table is not a model: when one output is left, it is the model.
    models = models or [port for port, ending in endings.items() if not ending]
    return models[0] if len(models) == 1 else None
