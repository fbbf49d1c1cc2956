"""Reads `pipelines.yaml`; a mistake raises `BadConfiguration`, which names the file, the path of the key, what is
wrong and what would be right.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from shared.base.decoding import converted
from shared.base.errors import BadConfiguration
from shared.base.settings import Settings
from shared.configuration.azureml import check_gate, check_services
from shared.configuration.explaining import explain
from shared.configuration.file import DEFAULT_TRAINING, Entry, Wrong, dec_hook
from shared.configuration.fleet import read_fleet, refuse_overlaps
from shared.configuration.gate import read_gate
from shared.domain.azureml import OnlineScoring, ShareSettings
from shared.domain.fleets import NAME, Fleet, Pipelines
from shared.domain.pipelines import Pipeline
from shared.domain.rows import Rows
from shared.domain.services import TrainingService
from shared.domain.table import Table, Unreadable

ROWS_AT_MOST = 100  #: kept rows are scored again and again during a promotion
SETTING = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NO_SETTING = re.compile(r"\$\{(?![A-Za-z_][A-Za-z0-9_]*\})[^}]*\}?")


def load_pipelines(file: Path, settings: Settings) -> Pipelines:
    """Return the pipelines by name."""
    import yaml

    from shared.base.yaml_file import load

    try:
        raw = load(file.read_bytes())
    except FileNotFoundError:
        raise BadConfiguration(
            f"{file} does not exist; copy pipelines.sample.yaml there, or name the file in the setting PIPELINES_FILE"
        ) from None
    except yaml.YAMLError as error:
        raise BadConfiguration(_not_yaml(file.name, error)) from None
    except OSError as error:
        raise BadConfiguration(f"{file} cannot be read: {error.strerror}") from None
    if not isinstance(raw, dict) or set(raw) != {"pipelines"} or not isinstance(raw["pipelines"], dict):
        raise BadConfiguration(f"{file.name} must have one key, 'pipelines', with an entry for each pipeline by name")
    read = {str(name): _pipeline(file, str(name), body, settings) for name, body in raw["pipelines"].items()}
    alone = {name: each for name, each in read.items() if isinstance(each, Pipeline)}
    fleets = {name: each for name, each in read.items() if isinstance(each, Fleet)}
    refuse_overlaps(file, read)
    _refuse_shared_targets(file, [*alone.values(), *(fleet.template for fleet in fleets.values())])
    return Pipelines(alone, fleets)


def _not_yaml(name: str, error: Exception) -> str:
    """Return the mistake in one line as `file:line:column`, which editors and terminals follow."""
    mark = getattr(error, "problem_mark", None)
    what = " ".join(filter(None, (getattr(error, "context", None), getattr(error, "problem", None))))
    where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
    return f"{where}: is not YAML: {what or ' '.join(str(error).split())}"


def _pipeline(file: Path, name: str, body: object, settings: Settings) -> Pipeline | Fleet:
    def wrong(path: str, message: str) -> BadConfiguration:
        return BadConfiguration(f"{file.name}: pipelines.{name}{path}: {message}")

    if not NAME.fullmatch(name):
        raise wrong("", "a pipeline's name has lower-case letters, digits and dashes, 63 at most")
    filled = _with_kind(_fill(body, settings, wrong, ""))
    try:
        entry = converted(filled, Entry, dec_hook)
    except msgspec.ValidationError as error:
        path, message = explain(str(error), filled, body)
        raise wrong(path, message) from None
    if isinstance(entry.training, TrainingService):
        _check_training(entry.training, wrong)
    training = check_services(entry, file.parent, wrong)
    gate = read_gate(entry, wrong)
    check_gate(entry, gate, training, wrong)
    names = [target.name for target in entry.targets]
    if len(set(names)) != len(names):
        raise wrong(".targets", f"two targets have the same name: {', '.join(names)}")
    try:
        rows = _read_rows(file.parent / entry.proof.rows)
    except ValueError as error:
        raise wrong(".proof.rows", str(error)) from None
    for index, target in enumerate(entry.targets):
        scoring = target.scoring
        if isinstance(scoring, OnlineScoring):
            continue
        if bool(scoring.services) == bool(scoring.address or scoring.key) or bool(scoring.address) != bool(scoring.key):
            raise wrong(f".targets[{index}].scoring", "needs an address and a key, or for a Classic target services")
    pipeline = Pipeline(
        name=name,
        blobs=entry.blobs,
        checks=entry.checks,
        schedule=entry.schedule,
        arriving=entry.arrival,
        training=training,
        gate=gate,
        approval=entry.approval,
        bake=entry.bake,
        targets=entry.targets,
        share=entry.share or (ShareSettings() if any(target.stages for target in entry.targets) else None),
        rows=rows,
        proof_timeout=float(entry.proof.timeout),
    )
    return read_fleet(entry, pipeline, filled, wrong)


def _with_kind(body: object) -> object:
    """Return the entry with the kind of its training, which files of earlier versions do not name."""
    training = body.get("training") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(training, dict):
        return body
    return {**body, "training": {"kind": DEFAULT_TRAINING.__struct_config__.tag, **training}}


def _check_training(training: TrainingService, wrong: Wrong) -> None:
    if training.folder and training.input:
        raise wrong(".training", "has 'input' and 'folder', and a training reads its data by one of them; remove one")
    if training.folder in training.parameters:
        raise wrong(
            f".training.parameters.{training.folder}",
            "is the parameter of 'folder', which gets the path of each job's data; remove it here",
        )


def _refuse_shared_targets(file: Path, pipelines: Iterable[Pipeline]) -> None:
    owners: dict[str, str] = {}
    for pipeline in pipelines:
        for target in pipeline.targets:
            place = target.model_at.casefold()
            where = f"pipelines.{pipeline.name}.targets ({target.name})"
            if place in owners:
                raise BadConfiguration(
                    f"{file.name}: {where}: the same model of the same endpoint is the target of {owners[place]}; "
                    "two pipelines would overwrite each other"
                )
            owners[place] = where


def _read_rows(file: Path) -> Rows:
    try:
        table = Table(file.name, [file.read_bytes()])
        values = [*table.full_rows()]
    except FileNotFoundError:
        raise ValueError(f"{file.name} does not exist beside the pipelines file") from None
    except Unreadable as error:
        raise ValueError(f"{error.message}; a CSV file with a header and rows was expected") from None
    except OSError as error:
        raise ValueError(f"{file.name} cannot be read: {error.strerror}") from None
    if not 1 <= len(values) <= ROWS_AT_MOST:
        raise ValueError(f"{file.name} has {len(values)} rows; 1 to {ROWS_AT_MOST} were expected")
    return Rows(table.names, values)


def _fill(value: object, settings: Settings, wrong: Wrong, path: str) -> object:
    """Return the value with each `${NAME}` in its strings replaced by that setting."""
    if isinstance(value, dict):
        return {k: _fill(v, settings, wrong, f"{path}.{k}") for k, v in value.items()}
    if isinstance(value, list):
        return [_fill(v, settings, wrong, f"{path}[{i}]") for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value
    if odd := _NO_SETTING.search(value):
        raise wrong(path, f"{odd[0]!r} names no setting; write ${{NAME}}, in letters, digits and _")

    def setting(match: re.Match[str]) -> str:
        try:
            return settings.require(match[1])
        except BadConfiguration as error:
            raise wrong(path, str(error)) from None

    return SETTING.sub(setting, value)
