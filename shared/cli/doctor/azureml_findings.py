"""What is wrong with the parts of a workspace that a pipeline names. Decides only; `azureml` looks."""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from math import ceil

from shared.adapters.azureml.parts import Compute, Datastore, Deployment, Endpoint, Ports, Room
from shared.base.suggestion import suggestion
from shared.cli.doctor.finding import Finding, ok, warning, wrong
from shared.configuration.azureml import inputs_of
from shared.domain.azureml import CHAMPION_TYPES, AzureMLOnlineTarget, AzureMLTraining

ROLE = "AzureML Data Scientist"
DATA_ROLE = "Storage Blob Data Contributor"
READ_ROLE = "Storage Blob Data Reader"
_FOLDERS = ("uri_folder", "custom_model")  #: an output of either may hold any model
_RESERVE = 1.2  #: the service keeps a fifth more instances for its own upgrades
_GUIDE = "docs/azureml.md"


@dataclass(frozen=True)
class Known:
    """What the records say of an endpoint: how many deployments are kept beside the live one, and of a change."""

    kept: int = 0
    is_changing: bool = False
    restore: str | None = None  #: the command that gives all calls back to the live model
    serving: str | None = None  #: the deployment of the live model, where the history names it

    @property
    def give_back(self) -> str:
        if self.restore:
            return f"give the live model all calls: {self.restore}"
        return 'give one deployment all calls: az ml online-endpoint update --traffic "NAME=100"'


def rights(what: str, missing: list[str], workspace: str) -> Finding:
    if not missing:
        return ok(what, "the app's identity has those that it needs")
    return wrong(
        what,
        f"the app's identity may not: {', '.join(missing)}",
        f'give it the role {ROLE} on the workspace: az role assignment create --role "{ROLE}" --scope {workspace} '
        "--assignee-object-id ... --assignee-principal-type ServicePrincipal",
    )


def ports(at: str, training: AzureMLTraining, found: Ports) -> Iterator[Finding]:
    """Look for the inputs and outputs that the configuration names."""
    if found.kind.lower() not in ("command", "commandcomponent"):
        yield wrong(f"{at}.component", f"is of the type {found.kind}", "name a command component")
    yield _input(f"{at}.data", training.data, found, ("uri_file",), "each job's data is one file", "a uri_file")
    for name in training.parameters:
        yield _named(f"{at}.parameters", "input", name, found.inputs)
    if champion := training.champion:
        types = f"one of: {', '.join(CHAMPION_TYPES)}"
        yield _input(f"{at}.champion.input", champion.input, found, CHAMPION_TYPES, "the champion is a model", types)
        yield _named(f"{at}.champion.scored", "output", champion.scored, found.outputs)
    given = inputs_of(training).values()
    for name in [name for name, each in found.inputs.items() if each.required and name not in given]:
        problem = f"do not give the input {name!r}, which has no default"
        yield wrong(f"{at}.parameters", problem, f'add it: parameters: {{{name}: "..."}}')
    yield _model_output(at, training, found)
    if training.scored:
        yield _named(f"{at}.scored", "output", training.scored.output, found.outputs)


def _input(what: str, name: str, found: Ports, types: Container[str], content: str, right: str) -> Finding:
    """Look for the input, and whether its type is one of those that take what it gets: `content`."""
    given = found.inputs.get(name)
    if given is None or given.type in types:
        return _named(what, "input", name, found.inputs)
    problem = f"the input {name!r} is of the type {given.type}, and {content}"
    return wrong(what, problem, f"make it {right}, and publish a new version")


def _model_output(at: str, training: AzureMLTraining, found: Ports) -> Finding:
    kind = found.outputs.get(training.model.output)
    if kind is None or kind == training.model.type or kind in _FOLDERS:
        return _named(f"{at}.model", "output", training.model.output, found.outputs)
    of_type = f"the output {training.model.output!r} is of the type {kind}"
    problem = f"{of_type}, and the configuration says {training.model.type}"
    return wrong(f"{at}.model", problem, f"write type: {kind} if that is right, or correct the output")


def _named(what: str, kind: str, name: str, there: Iterable[str]) -> Finding:
    names = set(there)
    if name in names:
        return ok(what, f"there is the {kind} {name!r}")
    return wrong(what, f"the {kind} {name!r} does not exist", suggestion(name, names))


def compute(what: str, name: str, found: Compute | None) -> Iterator[Finding]:
    if found is None:
        create = f"create it (az ml compute create --type AmlCompute --name {name} ...), or correct the name"
        yield wrong(what, f"the workspace has no compute {name!r}", create)
        return
    size = f"{found.kind}, {found.size or 'of a size that is not known here'}"
    if found.state not in ("succeeded", ""):
        yield warning(what, f"{size}, is {found.state}", f"see what became of it: az ml compute show --name {name}")
    elif found.nodes == 0:
        update = f"let it have one: az ml compute update --name {name} --max-instances 1"
        yield wrong(what, f"{size}, has no node at any time", update)
    else:
        nodes = f", at most {found.nodes} nodes" if found.nodes else ""
        yield ok(what, f"{size}{nodes}")
    yield _job_identity(f"{what}, identity", found)


def _job_identity(what: str, found: Compute) -> Finding:
    if found.identity:
        role = f"whether it has the role {DATA_ROLE} on the container `batches` shows at the first job"
        return ok(what, f"{found.identity}; {role}")
    return warning(
        what,
        "the compute has none, and a job reads and writes the datastore by its identity",
        f"create it with identity: {{type: system_assigned}} in its file, and give that identity the role {DATA_ROLE} "
        f"on the container `batches`; {_GUIDE} has the commands",
    )


def datastore(what: str, name: str, found: Datastore | None, account: str, container: str) -> Finding:
    """Look whether the datastore is over this container of the app, and has no key of its own."""
    make = f"create it over the container {container} of {account}: {_GUIDE} has the file and the command"
    if found is None:
        return wrong(what, f"the workspace has no datastore {name!r}", make)
    if found.kind != "AzureBlob":
        return wrong(what, f"is of the kind {found.kind}, and the app's containers are AzureBlob", make)
    if found.account.lower() != account.lower() or found.container != container:
        ours = f"the app uses {container} of {account} (RETRAINING_STORE)"
        return wrong(what, f"is over the container {found.container} of {found.account}, and {ours}", make)
    if (kind := found.credentials).lower() != "none":
        problem = f"has credentials of the type {kind}, which open the account to all jobs of the workspace"
        return warning(what, problem, f"make it by identity, without credentials: {_GUIDE} has the file")
    return ok(what, f"is over the container {container} of {account}, by identity")


def endpoint(what: str, target: AzureMLOnlineTarget, found: Endpoint | None, known: Known) -> Iterator[Finding]:
    if found is None:
        yield wrong(
            what,
            f"the workspace has no online endpoint {target.endpoint!r}",
            "create it with its first deployment, which is the pattern for all others: az ml online-endpoint create, "
            f"az ml online-deployment create; {_GUIDE} has the files",
        )
        return
    yield _endpoint_itself(what, target, found)
    how = f"by {found.opened_by}: the app asks the workspace for it; auth_mode: aad_token needs none"
    yield ok(f"{what}, authentication", "by identity (aad_token)" if found.opened_by == "aadtoken" else how)
    if not found.identity:
        yield wrong(
            f"{what}, identity",
            "has none, and reads its models by its identity",
            f"create it with identity: system_assigned, and give that the role {READ_ROLE} on the container `models`",
        )
    else:
        role = f"whether it has the role {READ_ROLE} on the container `models` shows at the first stage"
        yield ok(f"{what}, identity", f"{found.identity}; {role}")
    yield live_deployment(f"{what}, live deployment", found, known)
    yield from _idle(what, found, known.kept)


def _endpoint_itself(what: str, target: AzureMLOnlineTarget, found: Endpoint) -> Finding:
    if found.kind.lower() != "managed":
        return warning(what, f"is of the kind {found.kind}", "take a managed one; no other kind was tried")
    if found.state == "failed":
        return wrong(what, "is failed", f"see why: az ml online-endpoint show --name {target.endpoint}")
    return ok(what, f"is there, {found.state or 'in a state that is not known'}")


def the_live(found: Endpoint) -> Deployment | None:
    """Return the deployment with the most traffic."""
    served = [each for each in found.deployments if each.name.lower() in found.traffic]
    return max(served, key=lambda each: found.traffic[each.name.lower()], default=None)


def live_deployment(what: str, found: Endpoint, known: Known) -> Finding:
    live = the_live(found)
    if live is None:
        there = ", ".join(each.name for each in found.deployments) or "none"
        problem = "no deployment has traffic, so that all calls are answered with 404; the deployments are"
        return wrong(what, f"{problem}: {there}", known.give_back)
    if len(found.traffic) > 1:
        shares = ", ".join(f"{name} {share} %" for name, share in found.traffic.items())
        if known.is_changing:
            return ok(what, f"a change is under way: {shares}")
        return warning(what, f"the traffic is divided: {shares}, and no change is under way", known.give_back)
    if known.serving and not known.is_changing and live.name.lower() != known.serving.lower():
        problem = f"somebody else gave all calls to {live.name}; the history says {known.serving}"
        return warning(what, problem, known.give_back)
    if live.state != "succeeded":
        wait = f"wait until it is ready, or see its log: az ml online-deployment get-logs --name {live.name}"
        return warning(what, f"{live.name} is {live.state}", wait)
    if not live.model:
        problem = f"{live.name} serves no registered model, so that it cannot be the pattern for others"
        return wrong(what, problem, "register its model in the workspace and deploy that")
    model = live.model.rpartition("models/")[2]
    return ok(what, f"{live.name}, {live.instances} x {live.instance_type}, serves {model}")


def _idle(what: str, found: Endpoint, kept: int) -> Iterator[Finding]:
    """Look for deployments that cost and have no traffic, and that the app neither made nor keeps for a rollback."""
    idle = [each for each in found.deployments if each.name.lower() not in found.traffic]
    for each in idle:
        if "relearn.sha256" in each.tags or len(idle) <= kept:
            yield ok(f"{what}, deployment {each.name}", f"has no traffic, is {each.state}; the app drops it in time")
        else:
            problem = f"has no traffic, and costs {each.instances} x {each.instance_type} all the time"
            delete = f"delete it if nobody needs it: az ml online-deployment delete --name {each.name}"
            yield warning(f"{what}, deployment {each.name}", problem, delete)


def quota(what: str, instances: int, found: Room | None) -> Finding:
    """Look whether the region has room for these instances, and for the fifth more that the service wants."""
    if found is None:
        return ok(what, "is not known here; see az ml compute list-usage")
    needed = ceil(instances * _RESERVE) * found.cores
    need = f"the second deployment needs about {needed} cores of {found.family}"
    both = f"{need}, and {found.left} are left in the region"
    if needed <= found.left:
        return ok(what, both)
    more = "ask for more (portal, Quotas, Machine Learning), or write fewer instances or another type"
    return warning(what, both, more)


def room(what: str, instances: int, most: int | None) -> Finding | None:
    """Return what is wrong with the number of instances, if the service says how many there may be."""
    if most is None or instances <= most:
        return None
    return wrong(what, f"needs {instances} instances, and the service allows {most}", "write fewer instances")
