"""From trainings to entries of `pipelines.yaml`: decides only, reads and writes nothing."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from shared.adf import workspaces
from shared.adf.artefacts import (
    BatchExecution,
    ExecutePipeline,
    Expression,
    Pipeline,
    Place,
    Text,
    UpdateResource,
    read_text,
)
from shared.adf.entries import Entry, gate_and_proof, limits, parameters
from shared.adf.factory import Factory
from shared.adf.report import Report
from shared.adf.targets import Targets, named_service, whose
from shared.adf.trainings import Training, find_trainings
from shared.adf.translation import blob_pattern, service_address, slug, unique

_IMPORT_PATH = re.compile(r"path to (container|blob)", re.IGNORECASE)  #: what Import Data calls its path


def carry_over(factory: Factory, *, with_workspaces: bool = False) -> tuple[dict[str, Entry], Report]:
    """Return the entries by name, and what they lack. No entry: the report says why.

    `with_workspaces`: what runs in a workspace of Azure Machine Learning becomes an entry too.
    """
    report = Report()
    trainings = find_trainings(factory, report)
    runs = [*workspaces.runs_of(factory)] if with_workspaces else []
    _leave_the_rest(factory, trainings, runs, report)
    _leave_what_clashes(factory, report, trainings)
    targets = Targets(factory, report)
    entries: dict[str, Entry] = {}
    for training in trainings:
        name = _entry_name(training, trainings, entries)
        entries[name] = _entry(factory, report, training, f"pipelines.{name}", targets.of(training, name))
    for pipeline, run in runs:
        alone = sum(other is pipeline for other, _ in runs) == 1
        name = unique(slug(pipeline.name if alone else f"{pipeline.name}-{run.name}") or "pipeline", entries)
        entries[name] = workspaces.entry(factory, report, run, f"pipelines.{name}")
    return entries, report


def _entry(factory: Factory, report: Report, training: Training, key: str, targets: list[Entry]) -> Entry:
    report.leave_keys(training.batch)
    gate, proof = gate_and_proof(report, key)
    return {
        "blobs": _blobs(factory, report, training.batch, f"{key}.blobs"),
        "training": _training(factory, report, training, f"{key}.training"),
        "gate": gate,
        "targets": targets,
        "proof": proof,
    }


def _blobs(factory: Factory, report: Report, batch: BatchExecution, key: str) -> str:
    port, place = _input_place(batch)
    found = _training_data(factory, batch)
    if found is None:
        report.leave(
            f"{batch.where}: {port}: {_lack(place, factory.path(place))}"
            if port
            else f"{batch.where}: has no web service input, and no global parameter with a path in plain text: its "
            "experiment imports the data itself; make its path a web service parameter for training.folder"
        )
        return report.fill_in(key, "BLOBS", "which blobs are training data, for example income/*.csv")
    container, pattern = found
    data_set = factory.data_set(place)
    lies = f"{pattern} lies in container {container!r}"
    path = f"set TRAINING_DATA_PATH to {container}/{{name}}, and TRAINING_DATA"
    if _folder(batch):
        # The account's name and key are in the experiment; it is to read the folders of `batches` now.
        report.fill_ins.append(
            f"{key}: {lies}: {path} and RETRAINING_STORE to the storage that the experiment imports from"
        )
    else:
        storage = data_set.storage if data_set else place.storage
        report.fill_ins.append(f"{key}: {lies} of linked service {storage!r}: {path} to that storage")
    if data_set and data_set.scheduled:
        report.leave(
            f"{data_set.file}: data set {data_set.name!r}: availability: a blob that arrives starts the retraining"
        )
    return pattern


def _input_place(batch: BatchExecution) -> tuple[str, Place]:
    """Return the port, or the parameter in its place, and what it reads; an empty name when there is neither."""
    folder = _folder(batch)
    if folder:
        return f"globalParameters.{folder}", Place(path=read_text(batch.parameters[folder]))
    return next(((f"webServiceInputs.{port}", place) for port, place in batch.inputs.items()), ("", Place()))


def _folder(batch: BatchExecution) -> str | None:
    """Return the global parameter with the path of an Import Data module, where the service has no input."""
    return None if batch.inputs else next((name for name in batch.parameters if _IMPORT_PATH.match(name)), None)


def _training_data(factory: Factory, batch: BatchExecution) -> tuple[str, str] | None:
    """Return the container and the pattern of the blobs within it."""
    return blob_pattern(_readable(factory.path(_input_place(batch)[1])) or "")


def _leave_what_clashes(factory: Factory, report: Report, trainings: Sequence[Training]) -> None:
    """Report what one entry may have alone, but not several together."""
    places = [place for training in trainings if (place := _training_data(factory, training.batch))]
    containers = sorted({container for container, _ in places})
    if len(containers) > 1:
        report.leave(
            f"TRAINING_DATA_PATH: the training data lie in containers {', '.join(containers)}, and an app watches one; "
            "bring them into one container, or have an app for each"
        )
    for training in trainings:
        entries = sum(other.batch is training.batch for other in trainings)
        if entries > 1:
            report.leave(
                f"{training.batch.where}: gives {entries} models, each an entry; each entry pays its own training"
            )


def _training(factory: Factory, report: Report, training: Training, key: str) -> Entry:
    batch = training.batch
    service, of = named_service(factory, report, batch), whose(factory, batch)
    wish = batch.service or batch.name
    address = service_address(service.ml_endpoint) if service else None
    found: Entry = {
        "address": address or report.setting(f"{wish}_ADDRESS", f"{of}: mlEndpoint, without /jobs"),
        "key": report.setting(f"{wish}_KEY", f"{of}: apiKey"),
        **({"folder": folder} if (folder := _folder(batch)) else {"input": _input(report, batch)}),
        "model": training.port or _unknown_port(report, f"{key}.model", "MODEL", "the ilearner", batch.outputs),
        "evaluation": _evaluation(factory, report, training, f"{key}.evaluation"),
    }
    given = {name: value for name, value in batch.parameters.items() if name != _folder(batch)}
    if carried := parameters(report, batch, given, "globalParameters", key):
        found["parameters"] = carried
    return found | limits(report, batch)


def _input(report: Report, batch: BatchExecution) -> str:
    first, *others = batch.inputs or ["input1"]
    if not batch.input_named:
        report.leave(f"{batch.where}: webServiceInput names no port; input1 is assumed")
    for port in others:
        report.leave(
            f"{batch.where}: webServiceInputs.{port}: a retraining feeds one input, {first!r}; this one gets none"
        )
    return first


def _evaluation(factory: Factory, report: Report, training: Training, key: str) -> str:
    batch = training.batch
    endings = factory.endings(batch)
    ports = [port for port, ending in endings.items() if port != training.port and ending != ".ilearner"]
    for port, ending in endings.items():
        if training.port not in (None, port) and ending == ".ilearner":
            report.leave(
                f"{batch.where}: webServiceOutputs.{port}: the entry takes the model of {training.port!r}, not it"
            )
    report.leave(
        f"{batch.where}: webServiceOutputs: the files; the app has results written to the storage of RETRAINING_STORE"
    )
    if training.port and len(ports) == 1:
        return ports[0]
    return _unknown_port(report, key, "EVALUATION", "the metrics (Evaluate Model)", ports)


def _unknown_port(report: Report, key: str, sign: str, gives: str, ports: Mapping[str, Any] | Sequence[str]) -> str:
    among = f"one of {', '.join(ports)}" if ports else "the activity names none, the service's help page does"
    return report.fill_in(key, f"{sign}_PORT", f"the output port that gives {gives}: {among}")


def _readable(path: Text | None) -> str | None:
    """Return the path when its plain parts say enough: `income/@{month}.csv` does, `@concat(...)` does not."""
    if isinstance(path, Expression):
        return None if path.text.startswith(("@", "$$", "[")) else path.text
    return path


def _lack(place: Place, path: Text | None) -> str:
    if isinstance(path, Expression):
        return "its file is an expression of Data Factory"
    if place.dataset and not path:
        return f"data set {place.dataset!r} is in none of the files, or names no path"
    return "its file names no container and path in plain text"


def _leave_the_rest(
    factory: Factory, trainings: Sequence[Training], runs: Sequence[tuple[Pipeline, ExecutePipeline]], report: Report
) -> None:
    used = {id(training.pipeline) for training in trainings} | {id(pipeline) for pipeline, _ in runs}
    carried = {id(run) for _, run in runs}
    for pipeline in factory.pipelines.values():
        where = f"{pipeline.file}: pipeline {pipeline.name!r}"
        if id(pipeline) not in used:
            kinds = ", ".join(sorted({activity.kind for activity in pipeline.activities})) or "none"
            hint = f"; --azureml makes an entry of {workspaces.KIND}" if workspaces.KIND in kinds else ""
            report.leave(f"{where}: trains nothing; its activities: {kinds}{hint}")
            continue
        if pipeline.ignored:
            report.leave(f"{where}: {', '.join(pipeline.ignored)}: no counterpart here")
        for activity in pipeline.activities:
            if id(activity) not in carried and not isinstance(activity, BatchExecution | UpdateResource):
                report.leave(
                    f"{activity.where}: {activity.kind}: no counterpart here; what it did is done elsewhere now"
                )
    for other in factory.others:
        report.leave(f"{other.file}: {other.name!r}: {other.kind}: no counterpart here")


def _entry_name(training: Training, trainings: Sequence[Training], taken: Mapping[str, Entry]) -> str:
    siblings = [item for item in trainings if item.pipeline is training.pipeline]
    parts = [training.pipeline.name]
    if len(siblings) > 1:
        parts.append(training.batch.name)
    if sum(item.batch is training.batch for item in siblings) > 1:
        parts.append(training.port or "")
    return unique(slug("-".join(parts)) or "pipeline", taken)
