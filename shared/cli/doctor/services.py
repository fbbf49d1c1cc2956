"""Checks each pipeline's training service and targets: address, key, ports, resource and answers."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import assert_never

import msgspec

from shared.adapters.studio.classic_endpoint import NOT_FOUND
from shared.app import App
from shared.base.errors import BadConfiguration, RetrainingError, ServiceRefused
from shared.base.suggestion import suggestion
from shared.cli.doctor import azureml
from shared.cli.doctor.finding import Finding, Health, looked, ok, remedy, warning, wrong
from shared.cli.output import short
from shared.domain.azureml import AzureMLOnlineTarget, AzureMLTraining
from shared.domain.evaluation import METRICS, kind_of
from shared.domain.fleets import Fleet
from shared.domain.gate.rules import Rule
from shared.domain.gate.scored import kind_of_columns
from shared.domain.pipelines import Pipeline, Target
from shared.domain.ports import BatchService, BlobReference, Endpoint
from shared.domain.rows import Rows
from shared.domain.services import ClassicTarget, Description, NewTarget, ScoringService, TrainingService
from shared.domain.values import Address

_DEFAULT = "default"  #: every Classic web service has this endpoint, whose models those that are made begin with
_NO_JOB = "0" * 32  #: an id that no job has; the answer for it shows whether address and key are right


def look(app: App, pipeline: Pipeline) -> Iterator[Finding]:
    at, training = f"pipelines.{pipeline.name}.training", pipeline.training
    match training:
        case TrainingService():
            yield _batch(at, app.training_service(pipeline), f"{at}.key", f"{at}.address")
            yield from _described(app, at, training, lambda found: training_names(pipeline, training, found))
        case AzureMLTraining():
            yield from azureml.training(app, pipeline, training)
        case _:
            assert_never(training)
    for target in pipeline.targets:
        if isinstance(target, AzureMLOnlineTarget):
            yield from azureml.target(app, pipeline, target)
        if not isinstance(target, AzureMLOnlineTarget) or pipeline.fleet != pipeline.name:
            yield from _target(app, pipeline, target)


def look_at_fleet(app: App, fleet: Fleet) -> Iterator[Finding]:
    """Look once at what all members share: the training service, and the web service by its default endpoint."""
    targets = [
        msgspec.structs.replace(target, address=Address(f"{target.address.rpartition('/')[0]}/{_DEFAULT}"))
        if isinstance(target, ClassicTarget)
        else target
        for target in fleet.template.targets
    ]
    yield from look(app, msgspec.structs.replace(fleet.template, targets=targets))


def training_names(pipeline: Pipeline, training: TrainingService, found: Description) -> Iterator[Finding]:
    at = f"pipelines.{pipeline.name}"
    yield from training_ports(f"{at}.training", training, found)
    yield from label_column(f"{at}.checks.label", pipeline.checks.label, training.port, found)


def label_column(at: str, label: str | None, port: str, found: Description) -> Iterator[Finding]:
    """Look for the label among the input's columns, where the description has them. Pure."""
    if label and (columns := found.columns.get(port)):
        yield named(at, label, columns, "column")


def training_ports(at: str, training: TrainingService, found: Description) -> Iterator[Finding]:
    """Look for the configured names in the service's own description. Pure."""
    if training.folder:
        yield named(f"{at}.folder", training.folder, found.parameters, "global parameter")
    else:
        yield named(f"{at}.input", training.port, found.inputs, "input")
    for port in ("model", "evaluation", "scored"):
        name = getattr(training, port)
        if name is not None:
            yield named(f"{at}.{port}", name, found.outputs, "output")
    for name in training.parameters:
        yield named(f"{at}.parameters", name, found.parameters, "global parameter")


def scoring_ports(at: str, scoring: ScoringService, rows: Rows, found: Description) -> Iterator[Finding]:
    """Look for the configured names, and for the columns of the proof's rows, in the description. Pure."""
    yield named(f"{at}.input", scoring.input, found.inputs, "input")
    yield named(f"{at}.output", scoring.output, found.outputs, "output")
    known = found.columns.get(scoring.input, frozenset())
    if unknown := [name for name in rows.columns if known and name not in known]:
        problem = f"the proof's rows have the column {unknown[0]!r}, and the service's input does not"
        columns = ", ".join(sorted(known))
        yield warning(f"{at}.input", problem, f"the service ignores or refuses it; its columns: {columns}")
    if missing := sorted(known - {*rows.columns}):
        problem = f"the proof's rows lack the input's column {missing[0]!r}"
        yield warning(f"{at}.input", problem, "add it to the rows of proof.rows, unless it is the label")


def kind_of_rules(what: str, rules: Sequence[Rule], columns: Iterable[str]) -> Finding:
    """Look whether the rules' metrics are those of a model that answers with these columns. Pure."""
    kind = kind_of_columns(columns)
    for metric in (condition.metric for rule in rules for condition in rule.conditions):
        if kind_of(metric) is not kind:
            of_rule = f"{metric} is a metric of {kind_of(metric).value} models"
            return wrong(
                what,
                f"{of_rule}, and the live model is a {kind.value} one",
                f"its metrics are: {', '.join(METRICS[kind])}",
            )
    return ok(what, f"name metrics of {kind.value} models, as the live one is")


def named(what: str, name: str, known: frozenset[str], kind: str) -> Finding:
    """Look for the configured name among those that the service's description has."""
    if not known:
        problem = f"whether there is the {kind} {name!r} shows at the first job: the service's description names none"
        return warning(what, problem, "compare it with the service's help page")
    if name in known:
        return ok(what, f"the service has the {kind} {name!r}")
    return wrong(what, f"the service has no {kind} {name!r}", suggestion(name, known))


def _batch(what: str, service: BatchService, key: str, address: str) -> Finding:
    def look() -> str:
        try:
            service.status(_NO_JOB)
        except ServiceRefused as error:
            if "JobNotFound" not in error.codes:
                raise
        return "batch execution answers, and takes the key"

    return looked(what, look, key, address)


def _described(
    app: App, at: str, place: TrainingService | ScoringService, ports: Callable[[Description], Iterator[Finding]]
) -> Iterator[Finding]:
    try:
        found = app.describe(at, place)
    except RetrainingError as error:
        yield warning(at, f"its description cannot be read: {error}", "ports are not checked")
        return
    yield from ports(found)


def _target(app: App, pipeline: Pipeline, target: Target) -> Iterator[Finding]:
    """Check which model is live, and the answers to the proof's rows."""
    at = f"pipelines.{pipeline.name}.targets ({target.name})"
    try:
        endpoint = app.endpoints_of(pipeline, only_look=True)[target.name]
    except BadConfiguration as error:
        yield wrong(at, str(error), remedy(error))
        return
    secret, address, has = _configured(at, target)
    served: list[BlobReference] = []

    def model() -> str | Finding:
        try:
            served.append(endpoint.model())
        except ServiceRefused as error:
            if not isinstance(target, ClassicTarget) or pipeline.fleet is None or error.status != NOT_FOUND:
                raise
            return warning(at, "its endpoint is not made yet", "nothing: its first promotion makes it")
        return has

    found = looked(at, model, secret, address)
    yield found
    if found.health is Health.WARNING:
        return
    if served:
        yield looked(f"{at}, live model", lambda: _live(app, pipeline, target.name, served[0]))
    if isinstance(target, NewTarget) and served:
        yield looked(f"{at}, storage", lambda: _account(app, f"{at}, storage", target))
        yield looked(f"{at}, right to write", lambda: _may_write(app, f"{at}, right to write", target))
    yield from _scoring(app, pipeline, target, endpoint, bool(served))


def _configured(at: str, target: Target) -> tuple[str, str, str]:
    """Return where the key, if there is one, and the address of the target are configured, and the model it has."""
    match target:
        case ClassicTarget():
            return f"{at}.key", f"{at}.address", f"has {target.resource!r}"
        case NewTarget():
            return (f"{at}.token" if target.token else ""), f"{at}.id", f"has {target.asset}"
        case AzureMLOnlineTarget():
            return "", f"{at}.endpoint", f"has a live model of the endpoint {target.endpoint}"
    assert_never(target)


def _scoring(app: App, pipeline: Pipeline, target: Target, endpoint: Endpoint, is_served: bool) -> Iterator[Finding]:
    at = f"pipelines.{pipeline.name}.targets ({target.name}).scoring"
    service = target.scoring if isinstance(target.scoring, ScoringService) else None
    if service and service.address:
        yield from _described(app, at, service, lambda found: scoring_ports(at, service, pipeline.rows, found))
    answered: list[Rows] = []

    def score() -> str:
        answers = endpoint.score(pipeline.rows)
        answered.append(answers)
        return f"scores the proof's {len(pipeline.rows.values)} rows: {', '.join(answers.columns)}"

    yield looked(at, score, f"{at}.key" if service else "", f"{at}.address" if service else at)
    if target is not pipeline.targets[0]:
        return
    if answered:
        yield kind_of_rules(f"pipelines.{pipeline.name}.gate.rules", pipeline.gate.rules, answered[0].columns)
    if service and pipeline.training.scored and pipeline.gate.needs_rows and is_served:
        yield _batch(f"{at}, batch", app.scoring_service(pipeline), f"{at}.key", f"{at}.address")


def _live(app: App, pipeline: Pipeline, name: str, reference: BlobReference) -> str | Finding:
    """Look whether what is live can be kept, and is what the history says."""
    what = f"pipelines.{pipeline.name}.targets ({name}), live model"
    kept = app.models.identify(reference)
    if kept is None:
        reader = app.reader_of(pipeline)
        for _ in reader.files(reference) if reference.is_folder else reader.read(reference):
            break  # its beginning shows that it can be read
    live = app.records.champions.load(pipeline.name).live
    right = live.models.get(name) if live else None
    if right is not None and kept != right:
        there = short(kept.sha256) if kept else "a model that somebody else deployed"
        after = "the next promotion notes it in the history; a rollback brings the other one back"
        return warning(what, f"is {there}, and the history says {short(right.sha256)}", after)
    return f"is kept as {short(kept.sha256)}" if kept else "can be read, so that it can be put back"


def _account(app: App, what: str, target: NewTarget) -> Finding:
    there, ours = app.rights(target).storage_account(), app.account
    if there is None or there.lower() == ours.lower():
        return ok(what, "the service reads models from the account of RETRAINING_STORE")
    problem = f"the service reads models from the account {there}, and RETRAINING_STORE is {ours}"
    return wrong(what, problem, f"set RETRAINING_STORE to the account {there}")


def _may_write(app: App, what: str, target: NewTarget) -> Finding:
    try:
        allowed = app.rights(target).may_write()
    except ServiceRefused:
        return ok(what, "is not known here; the first promotion shows it")
    if allowed:
        return ok(what, "is there")
    return wrong(what, "is missing", "give the identity the role Contributor on the web service")
