"""What an entry with services of Azure Machine Learning v2 must keep to, beyond the form of each key."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import msgspec

from shared.base.errors import BadConfiguration
from shared.base.suggestion import case_hint, suggestion
from shared.configuration.file import Entry, Wrong
from shared.domain.azureml import (
    CHAMPION_TYPES,
    AzureMLOnlineTarget,
    AzureMLTraining,
    ChampionScored,
    OnlineScoring,
    ScoredOutput,
    ShareSettings,
)
from shared.domain.evaluation import METRICS, NEED_PROBABILITIES, Kind, kind_of, metric_name
from shared.domain.fleets import Fleet
from shared.domain.gate.decision import Gate
from shared.domain.job_file import JobFile
from shared.domain.logged_metrics import NAMES
from shared.domain.pipelines import Pipeline, Target, Training
from shared.domain.values import written

ENDPOINTS_AT_MOST = 100  #: of a region and subscription
#: what a name has in the service's paths, where another sign would lead to another resource
_RESOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_PORT = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_ASSET = re.compile(r"[A-Za-z0-9][\w.-]*:[A-Za-z0-9][\w.-]*")
_ROWS = "{rows}"


def check_services(entry: Entry, folder: Path, wrong: Wrong) -> Training:
    """Return the training with the gate's own names of its metrics. `folder` has the pipelines file."""
    training = entry.training
    _check_names(entry, wrong)
    if isinstance(training, AzureMLTraining):
        _check_inputs(training, wrong)
        _check_run(training, folder, wrong)
        _check_scored(training, wrong)
        training = msgspec.structs.replace(
            training,
            metrics=_named_metrics(training.metrics, wrong),
            champion=_read_champion(training, entry.targets[0], wrong),
        )
    for index, target in enumerate(entry.targets):
        if target.stages != isinstance(training, AzureMLTraining):
            service, right = ("studio", "classic or new") if target.stages else ("azureml", "azureml-online")
            problem = f"cannot serve a model of a training of kind {service}; write {right}"
            raise wrong(f".targets[{index}].kind", problem)
        if isinstance(target, AzureMLOnlineTarget):
            _check_target(entry, index, target, wrong)
    if entry.share:
        _check_share(entry, wrong)
    return training


def check_gate(entry: Entry, gate: Gate, training: Training, wrong: Wrong) -> None:
    """Find the rules that the training's metrics and the answers of the targets could never fulfil."""
    if not isinstance(training, AzureMLTraining):
        return
    for metric in gate.looks_at(has_rows=training.scored is not None):
        if metric not in training.metrics and metric not in NAMES:
            raise wrong(
                ".training.metrics", f"lacks {metric}, which the gate looks at; write {metric}: and the name in the run"
            )
    for metric in training.metrics:
        if metric not in METRICS[gate.kind]:
            raise wrong(
                f".training.metrics.{metric}",
                f"is of {kind_of(metric).value} models, and the gate looks at {gate.kind.value} ones; remove it",
            )
    if training.champion and not (training.scored and gate.compares and gate.needs_rows):
        raise wrong(
            ".training.champion",
            "is for rules that compare with the champion on scored rows; write such a rule, as AUC >= champion, or "
            "remove this key",
        )
    if training.scored is None or not gate.needs_rows:
        return
    on_rows = {c.metric: i for i, rule in enumerate(gate.rules) for c in rule.conditions if rule.each or c.champion}
    asked = next((metric for metric in on_rows if metric in NEED_PROBABILITIES), None)
    if asked and training.scored.label and not (training.scored.probability or training.scored.probabilities):
        raise wrong(
            f".gate.rules[{on_rows[asked]}]",
            f"{asked} needs probabilities, and the scored rows have labels only; have the training write them, and "
            "name their column in training.scored.probability",
        )
    _check_classes(entry.targets, training.scored, wrong)
    kind, scoring = gate.kind, entry.targets[0].scoring
    answer = scoring.answer if isinstance(scoring, OnlineScoring) else ""
    if asked and answer == "label" and not training.champion:
        raise wrong(
            f".gate.rules[{on_rows[asked]}]",
            f"{asked} of the champion needs probabilities, and the endpoint answers labels; save the model with "
            'pyfunc_predict_fn="predict_proba", and write targets[0].scoring.answer: probabilities, or have the '
            "training score the champion too (training.champion)",
        )
    if (answer == "value") != (kind is Kind.REGRESSION):
        right = "value" if kind is Kind.REGRESSION else "label, probability or probabilities"
        raise wrong(
            ".targets[0].scoring.answer",
            f"is {answer!r}, and the gate's metrics are of {kind.value} models; write {right}",
        )


def notes(pipeline: Pipeline, fleet: Fleet | None) -> Iterator[str]:
    """Yield what a person should know of the cost and the limits of the targets, and of the steps of their traffic."""
    if pipeline.share and pipeline.share.steps == [100]:
        yield (
            f"{pipeline.name}: a new model gets all calls in one step; for a part of them first, write "
            "share.steps: [10, 50, 100]"
        )
    for target in pipeline.targets:
        if isinstance(target, AzureMLOnlineTarget):
            yield f"{target.endpoint}: {second_deployment(target, pipeline.share or ShareSettings())}"
            if fleet:
                yield (
                    f"{target.endpoint}: each {fleet.key} needs an endpoint with a first deployment, which you make; "
                    f"a region has {ENDPOINTS_AT_MOST} endpoints and 500 deployments at most"
                )


def second_deployment(
    target: AzureMLOnlineTarget, share: ShareSettings, instance_type: str = "", instances: int = 0
) -> str:
    """Return what a new model costs; type and number are those of the live deployment, where they are known."""
    number = target.deployment.instances or instances
    kind = target.deployment.instance_type or instance_type or "the live one's instance type"
    size = f"{number} x {kind}" if number else f"as many instances as the live one has, {kind}"
    steps = sum(step < 100 for step in share.steps)
    baking = f", {written(steps * share.bake)} of steps" if steps else ""
    return (
        f"a new model is a second deployment, which costs beside the live one ({size}): while it starts{baking}, and "
        f"{written(target.keep_former)} after the switch; the region's quota must have room for it"
    )


def inputs_of(training: AzureMLTraining) -> dict[str, str]:
    """Return the inputs of each job, by the key that names them."""
    champion = {"champion.input": training.champion.input} if training.champion else {}
    return {"data": training.data, **champion, **{f"parameters.{each}": each for each in training.parameters}}


def outputs_of(training: AzureMLTraining) -> dict[str, str]:
    """Return the outputs of each job that are read, by the key that names them."""
    scored = {"scored": training.scored.output} if training.scored else {}
    champion = {"champion.scored": training.champion.scored} if training.champion else {}
    return {"model": training.model.output, **scored, **champion}


def _check_names(entry: Entry, wrong: Wrong) -> None:
    """Raise for the first name that no resource and no port can have."""
    for path, name, pattern in _names(entry):
        # The {key} of a fleet is looked at elsewhere.
        if not pattern.fullmatch(name) and not (entry.for_each and "{" in name):
            signs = "letters, digits and '_'" if pattern is _PORT else "letters, digits, '-', '_' and '.'"
            raise wrong(path, f"is {name[:80]!r}, which is not a name of the service; it has {signs}")


def _names(entry: Entry) -> Iterator[tuple[str, str, re.Pattern[str]]]:
    training = entry.training
    if isinstance(training, AzureMLTraining):
        resources = {key: getattr(training, key) for key in ("datastore", "compute", "experiment")}
        champion = {"champion.datastore": training.champion.datastore} if training.champion else {}
        for key, name in (resources | champion).items():
            if name is not None:
                yield f".training.{key}", name, _RESOURCE
        for key, name in inputs_of(training).items():
            yield f".training.{key}", name, _PORT
        for key, name in outputs_of(training).items():
            yield f".training.{key if key == 'champion.scored' else f'{key}.output'}", name, _PORT
    for index, target in enumerate(entry.targets):
        if isinstance(target, AzureMLOnlineTarget):
            yield f".targets[{index}].datastore", target.datastore, _RESOURCE
            yield f".targets[{index}].model", target.model, _RESOURCE


def _check_inputs(training: AzureMLTraining, wrong: Wrong) -> None:
    """Raise for a metric without a name in the run, and for an input that would get two things."""
    for metric, name in training.metrics.items():
        if not name.strip():
            raise wrong(f".training.metrics.{metric}", "is empty; write the metric's name in the run")
    if training.data in training.parameters:
        raise wrong(f".training.parameters.{training.data}", "is the input that gets the data; remove it here")
    champion = training.champion.input if training.champion else ""
    if champion in (training.data, *training.parameters):
        problem = f"is {champion!r}, which is also the data's or a parameter's input"
        raise wrong(".training.champion.input", problem)


def _check_run(training: AzureMLTraining, folder: Path, wrong: Wrong) -> None:
    if bool(training.component) == bool(training.job):
        raise wrong(".training", "needs a component or a job, and not both")
    has_compute = False
    if training.job:
        has_compute = _check_job(training, training.job, folder, wrong)
    elif not _ASSET.fullmatch((training.component or "").removeprefix("azureml:")):
        raise wrong(
            ".training.component", f"is {training.component!r}; write NAME:VERSION, so that each job runs the same"
        )
    given = [name for name in ("compute", "serverless") if getattr(training, name)]
    if has_compute and given:
        raise wrong(f".training.{given[0]}", f"cannot stand beside the compute that {training.job} names; remove one")
    if not has_compute and len(given) != 1:
        raise wrong(".training", "needs compute (a cluster) or serverless (an instance type), and not both")


def _check_job(training: AzureMLTraining, job: str, folder: Path, wrong: Wrong) -> bool:
    """Return whether the job file says where it runs."""
    path = ".training.job"
    if PurePosixPath(job).is_absolute() or ".." in re.split(r"[/\\]", job) or ":" in job:
        raise wrong(path, f"is {job!r}; write the name of a file beside the pipelines file")
    try:
        content, _ = JobFile(job, training, lambda name: (folder / name).read_bytes()).read()
    except BadConfiguration as error:
        raise wrong(path, str(error)) from None
    for what, names in (("inputs", inputs_of(training)), ("outputs", outputs_of(training))):
        declared = list(content.get(what) or {})
        for key, name in names.items():
            if name not in declared:
                there = ", ".join(declared) or "none"
                hint = case_hint(name, declared)
                raise wrong(f".training.{key}", f"{job} has no {what[:-1]} {name!r}; {hint}its {what} are: {there}")
    if training.champion:
        name = training.champion.input
        if (kind := content["inputs"][name]["jobInputType"]) not in CHAMPION_TYPES:
            raise wrong(
                ".training.champion.input",
                f"{job} has the input {name!r} of type {kind}; for the champion it can be: {', '.join(CHAMPION_TYPES)}",
            )
    return bool(content.get("computeId") or (content.get("resources") or {}).get("instanceType"))


def _check_scored(training: AzureMLTraining, wrong: Wrong) -> None:
    scored = training.scored
    if scored is None:
        return
    if scored.probability and scored.probabilities:
        raise wrong(".training.scored", "has 'probability', for two classes, and 'probabilities'; remove one")
    if len(scored.probabilities) == 1:
        raise wrong(".training.scored.probabilities", "has one class; name the column of each class")
    columns = [name for name in (scored.label, scored.probability, *scored.probabilities.values()) if name]
    if twice := next((name for name in columns if columns.count(name) > 1), None):
        raise wrong(".training.scored", f"names the column {twice!r} twice")
    if scored.output == training.model.output:
        raise wrong(".training.scored.output", f"is {scored.output!r}, which is the output of the model")
    if re.search(r"[/\\]", scored.file) or scored.file in ("", ".", ".."):
        raise wrong(".training.scored.file", f"is {scored.file!r}; write the name of a file in the output's folder")


def _read_champion(training: AzureMLTraining, target: Target, wrong: Wrong) -> ChampionScored | None:
    """Return the ports of the champion with their datastore, which is the first target's if none is named."""
    champion, path = training.champion, ".training.champion"
    if champion is None:
        return None
    if training.scored is None:
        raise wrong(path, "needs training.scored: both outputs have the same rows; name the candidate's output there")
    if champion.scored in (training.model.output, training.scored.output):
        raise wrong(f"{path}.scored", f"is {champion.scored!r}, which is the output of the model or of training.scored")
    if champion.datastore or not isinstance(target, AzureMLOnlineTarget):
        return champion
    if target.workspace.lower() != training.workspace.lower():
        raise wrong(
            f"{path}.datastore",
            "is missing, and the first target is in another workspace; name the datastore over the container models "
            "that the training's workspace has",
        )
    return msgspec.structs.replace(champion, datastore=target.datastore)


def _check_classes(targets: list[Target], scored: ScoredOutput, wrong: Wrong) -> None:
    """Have the training and each endpoint mean the same classes; of two, the last is the positive one in both."""
    given = [*scored.probabilities]
    for index, target in enumerate(targets):
        classes = target.scoring.classes if isinstance(target.scoring, OnlineScoring) else []
        same = given == classes if len(given) == 2 else sorted(given) == sorted(classes)
        if given and classes and not same:
            raise wrong(
                ".training.scored.probabilities",
                f"has the classes {', '.join(given)}, and targets[{index}].scoring.classes are {', '.join(classes)}; "
                "write the same, of two classes in the same order",
            )


def _named_metrics(metrics: Mapping[str, str], wrong: Wrong) -> dict[str, str]:
    named: dict[str, str] = {}
    for given, name in metrics.items():
        metric = metric_name(given)
        if metric is None:
            known = [each for names in METRICS.values() for each in names]
            hint = suggestion(given, known, all_of="known metrics:", cutoff=0.4)
            raise wrong(f".training.metrics.{given}", f"is not a metric of the gate; {hint}")
        if metric in named:
            raise wrong(f".training.metrics.{given}", f"names {metric} a second time")
        named[metric] = name
    return named


def _check_target(entry: Entry, index: int, target: AzureMLOnlineTarget, wrong: Wrong) -> None:
    path, rule = f".targets[{index}]", target.ENDPOINT
    if entry.for_each is None and not rule.pattern.fullmatch(target.endpoint):
        raise wrong(f"{path}.endpoint", f"is {target.endpoint!r}; an endpoint's name has {rule.words}")
    training = entry.training
    if isinstance(training, AzureMLTraining) and training.model.type != target.type:
        raise wrong(
            f"{path}.type", f"is {target.type}, and training.model.type is {training.model.type}; make them the same"
        )
    environment = target.deployment.environment or ""
    is_address = environment.startswith("azureml://")
    if environment and not is_address and not _ASSET.fullmatch(environment.removeprefix("azureml:")):
        raise wrong(f"{path}.deployment.environment", f"is {environment!r}; write NAME:VERSION")
    _check_scoring(f"{path}.scoring", target.scoring, wrong)
    if len(entry.only) * len(entry.targets) > ENDPOINTS_AT_MOST:
        raise wrong(
            ".only",
            f"has {len(entry.only)} values, each with {len(entry.targets)} endpoint of its own; a region has "
            f"{ENDPOINTS_AT_MOST} endpoints at most",
        )


def _check_scoring(path: str, scoring: OnlineScoring, wrong: Wrong) -> None:
    if scoring.body is not None:
        _check_body(f"{path}.body", scoring.form, scoring.body, wrong)
    if scoring.answer == "probabilities" and len(scoring.classes) < 2:
        raise wrong(f"{path}.classes", "is missing; write the classes in the model's order, the positive one last")
    if scoring.answer == "probability" and len(scoring.classes) != 2:
        raise wrong(f"{path}.classes", "must have the two classes, the positive one last")
    if twice := next((name for name in scoring.classes if scoring.classes.count(name) > 1), None):
        raise wrong(f"{path}.classes", f"has {twice!r} twice")


def _check_body(path: str, form: str, body: str, wrong: Wrong) -> None:
    if form == "mlflow":
        raise wrong(path, "is for form: json; remove it, or write that form")
    if _ROWS not in body:
        raise wrong(path, f'has no place for the rows; write {_ROWS} there: {{"data": {_ROWS}}}')
    try:
        msgspec.json.decode(body.replace(_ROWS, "[]"))
    except (msgspec.DecodeError, RecursionError):
        raise wrong(path, f'is not JSON once {_ROWS} is a list; write it as {{"data": {_ROWS}}}') from None


def _check_share(entry: Entry, wrong: Wrong) -> None:
    assert entry.share is not None
    if not all(target.stages for target in entry.targets):
        raise wrong(".share", "is for targets of kind azureml-online; a Studio endpoint has one model for all calls")
    steps = entry.share.steps
    if steps != sorted(set(steps)) or steps[-1] != 100:
        raise wrong(".share.steps", f"are {steps}; they must rise, and end with 100: [10, 50, 100]")
