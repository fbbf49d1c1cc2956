"""Checks what a pipeline names in a workspace of Azure Machine Learning, in the order in which one needs another."""

from collections.abc import Iterator

from shared.adapters.azureml.parts import DEPLOY, TRAIN, Endpoint, Parts
from shared.app import App
from shared.base.errors import AccessRefused, RetrainingError, ServiceRefused
from shared.cli.doctor import azureml_findings as findings
from shared.cli.doctor.finding import Finding, Health, guarded, looked, ok, wrong
from shared.configuration.azureml import second_deployment
from shared.domain.azureml import AzureMLOnlineTarget, AzureMLTraining
from shared.domain.job_file import JobFile
from shared.domain.pipelines import Pipeline

BATCHES, MODELS = "batches", "models"  #: containers of RETRAINING_STORE that the datastores are over

Part = AzureMLTraining | AzureMLOnlineTarget  #: of a pipeline, in a workspace


def training(app: App, pipeline: Pipeline, settings: AzureMLTraining) -> Iterator[Finding]:
    at, parts = f"pipelines.{pipeline.name}.training", Parts(app.workspace(settings))
    found = _workspace(at, parts, settings)
    yield found
    if found.health is Health.WRONG:
        return  # nothing in it can be looked at
    yield _rights(at, parts, settings, TRAIN)
    if settings.component:
        name = settings.component
        yield from guarded(f"{at}.component", lambda: _component(at, parts, settings, name), _access(settings))
    if settings.job:
        folder = app.settings.pipelines_file.parent
        file = JobFile(settings.job, settings, lambda name: (folder / name).read_bytes())
        yield from guarded(f"{at}.job", lambda: _job(at, parts, file), _access(settings))
    if settings.serverless:
        yield ok(f"{at}.serverless", f"{settings.serverless}; its quota, and what its jobs may read, show at the first")
    if settings.compute:
        yield from guarded(f"{at}.compute", lambda: _compute(at, parts, settings.compute or ""), _access(settings))
    yield _datastore(app, at, parts, settings, settings.datastore, BATCHES)
    if settings.champion and settings.champion.datastore:
        yield _datastore(app, f"{at}.champion", parts, settings, settings.champion.datastore, MODELS)
    yield looked(f"{at}.workspace, runs", parts.runs, "", f"{at}.workspace", _access(settings))


def target(app: App, pipeline: Pipeline, settings: AzureMLOnlineTarget) -> Iterator[Finding]:
    """Check all of a target but its answers. Of a fleet as a whole, what its members share."""
    at, parts = f"pipelines.{pipeline.name}.targets ({settings.name})", Parts(app.workspace(settings))
    found = _workspace(at, parts, settings)
    yield found
    if found.health is Health.WRONG:
        return
    yield _rights(at, parts, settings, DEPLOY)
    yield _datastore(app, at, parts, settings, settings.datastore, MODELS)
    if pipeline.fleet != pipeline.name:
        yield from guarded(f"{at}.endpoint", lambda: _endpoint(app, at, parts, pipeline, settings), _access(settings))


def _workspace(at: str, parts: Parts, settings: Part) -> Finding:
    what = f"{at}.workspace"
    return looked(what, lambda: f"is there, in {parts.location()}", "", what, _access(settings))


def _access(settings: Part) -> str:
    return f"give the app's identity the role {findings.ROLE} on {settings.workspace}; docs/azureml.md has the command"


def _rights(at: str, parts: Parts, settings: Part, needed: tuple[str, ...]) -> Finding:
    what = f"{at}.workspace, rights"

    def look() -> Finding:
        try:
            return findings.rights(what, parts.missing_rights(needed), settings.workspace)
        except AccessRefused:
            return ok(what, "are not known here; the first job and the first promotion show them")

    return looked(what, look, "", f"{at}.workspace")


def _component(at: str, parts: Parts, settings: AzureMLTraining, name: str) -> Iterator[Finding]:
    found = parts.component(name)
    if found is None:
        publish = "publish it (az ml component create --file component.yml), or correct the name and the version"
        yield wrong(f"{at}.component", f"the workspace has no component {name}", publish)
        return
    yield ok(f"{at}.component", f"{name} is there")
    yield from findings.ports(at, settings, found)


def _job(at: str, parts: Parts, file: JobFile) -> Iterator[Finding]:
    """Look for what the file names; its inputs and outputs were checked when the configuration was read."""
    job, made = file.read()
    named = [job[member] for member in ("codeId", *([] if made else ["environmentId"])) if member in job]
    if missing := [each for each in named if not parts.has(each)]:
        create = "create it (az ml environment create --file ...), or correct the name and the version in the file"
        yield wrong(f"{at}.job", f"the workspace has no {', '.join(missing)}", create)
    else:
        yield ok(f"{at}.job", "what the file names is there")
    if "computeId" in job:
        yield from _compute(at, parts, job["computeId"].rpartition("/")[2])


def _compute(at: str, parts: Parts, name: str) -> Iterator[Finding]:
    yield from findings.compute(f"{at}.compute", name, parts.compute(name))


def _datastore(app: App, at: str, parts: Parts, settings: Part, name: str, container: str) -> Finding:
    def look() -> Finding:
        return findings.datastore(f"{at}.datastore", name, parts.datastore(name), app.account, container)

    return looked(f"{at}.datastore", look, "", f"{at}.workspace", _access(settings))


def _endpoint(app: App, at: str, parts: Parts, pipeline: Pipeline, settings: AzureMLOnlineTarget) -> Iterator[Finding]:
    found, recorded = parts.endpoint(settings.endpoint), app.records.deployments.load(pipeline.name).record
    champion = app.records.champions.load(pipeline.name)
    restore = f"python3 run.py rollback {pipeline.name} --to {champion.live.number}" if champion.live else None
    kept = sum(each.gone is None for each in recorded.extra)
    is_changing = champion.change is not None or champion.repair is not None
    served_by = champion.live.served_by.get(settings.name, {}) if champion.live else {}
    known = findings.Known(kept, is_changing, restore, served_by.get("deployment"))
    yield from findings.endpoint(f"{at}.endpoint", settings, found, known)
    if found and findings.the_live(found):
        yield from _second(f"{at}, second deployment", parts, pipeline, settings, found)


def _second(
    what: str, parts: Parts, pipeline: Pipeline, settings: AzureMLOnlineTarget, found: Endpoint
) -> Iterator[Finding]:
    """Look whether there is room for the new model's deployment, and say what it costs."""
    live = findings.the_live(found)
    assert live is not None and pipeline.share is not None
    instances = settings.deployment.instances or live.instances
    try:
        most = parts.most_instances(settings.endpoint, live.name)
    except RetrainingError:
        most = None  # the service need not say it
    if full := findings.room(f"{what}, instances", instances, most):
        yield full
    yield looked(f"{what}, quota", lambda: _quota(f"{what}, quota", parts, settings, live.instance_type, instances))
    yield ok(what, second_deployment(settings, pipeline.share, live.instance_type, instances))


def _quota(what: str, parts: Parts, settings: AzureMLOnlineTarget, live_type: str, instances: int) -> Finding:
    try:
        room = parts.room(parts.location(), settings.deployment.instance_type or live_type)
    except (AccessRefused, ServiceRefused):
        room = None  # it is a right on the subscription, which the app does not need
    return findings.quota(what, instances, room)
