"""Update activities as targets: a Classic endpoint by its PATCH address, a New web service by its resource id."""

from typing import Any

from shared.adf.artefacts import Activity, LinkedService, UpdateResource
from shared.adf.factory import Factory
from shared.adf.report import Report
from shared.adf.trainings import Training
from shared.adf.translation import AZURE, classic_endpoint, new_service, plain_address, service_address, slug, unique

Target = dict[str, Any]


class Targets:
    """The targets of all entries: one model of one endpoint is never a target twice."""

    def __init__(self, factory: Factory, report: Report) -> None:
        self._factory, self._report = factory, report
        self._taken: dict[tuple[str, str], str] = {}  #: (endpoint, model) -> the activity that updates it

    def of(self, training: Training, entry: str) -> list[Target]:
        """Return the targets of the entry, at least one."""
        targets: list[Target] = []
        for update in training.updates:
            self._report.leave_keys(update)
            name = unique(slug(update.name) or "target", [str(target["name"]) for target in targets])
            target = self._target(training, update, name, f"pipelines.{entry}.targets ({name})")
            place = f"{target.get('address')} {target.get('id')}".casefold(), target.get("asset") or target["resource"]
            if place in self._taken:
                first = self._taken[place]
                self._report.leave(f"{update.where}: updates the same model of the same endpoint as {first}")
                continue
            self._taken[place] = update.where
            targets.append(target)
        return targets or [self._unknown(training, entry)]

    def _target(self, training: Training, update: UpdateResource, name: str, key: str) -> Target:
        service, of = named_service(self._factory, self._report, update), whose(self._factory, update)
        model = self._model(update, key)
        scoring = self._scoring(training, update, service)
        address = plain_address(service.update_endpoint) if service else None
        new = new_service(address or "")
        if new and service:
            if service.service_principal:
                self._report.leave(
                    f"{of}: servicePrincipalId: the app's identity takes its place; make it Contributor on {new[1]}"
                )
            return new_target(name, new, model, scoring)
        endpoint = classic_endpoint(address or "")
        if endpoint is None:
            self._report.leave(
                f"{of}: updateResourceEndpoint: is neither a Classic endpoint's PATCH address nor a New web service; "
                "a Classic one is assumed"
            )
            wanted = f"{of}: updateResourceEndpoint, .../webservices/{{id}}/endpoints/{{name}}"
            address = self._report.setting(f"{update.service or update.name}_UPDATE_ADDRESS", wanted)
        elif endpoint.casefold() == "default":
            self._report.leave(f"{of}: updateResourceEndpoint: the default endpoint takes no model; add an endpoint")
        return classic_target(name, address, model, scoring)

    def _model(self, update: UpdateResource, key: str) -> str:
        if isinstance(update.model_name, str) and update.model_name and "${" not in update.model_name:
            return update.model_name
        self._report.leave(f"{update.where}: trainedModelName: is missing, or an expression of Data Factory")
        return self._report.fill_in(key, "TRAINED_MODEL", "the exact name, '... [trained model]'")

    def _scoring(self, training: Training, update: UpdateResource, service: LinkedService | None) -> Target:
        wish, of = update.service or update.name, whose(self._factory, update)
        address = service_address(service.ml_endpoint) if service else None
        trained = self._factory.service(training.batch)
        if address and trained and address == service_address(trained.ml_endpoint):
            self._report.leave(f"{of}: mlEndpoint: is the address of the training, not of the predictive web service")
            address = None
        if not address:
            wanted = f"{of}: where the updated service scores rows, up to and with /services/{{id}}"
            address = self._report.setting(f"{wish}_SCORING_ADDRESS", wanted)
        return {"address": address, "key": self._report.setting(f"{wish}_KEY", f"{of}: apiKey")}

    def _unknown(self, training: Training, entry: str) -> Target:
        report, of = self._report, f"pipelines.{entry}: the endpoint that gets the model"
        report.leave(f"{training.batch.where}: no further update takes its model; a Classic target is there to fill in")
        key = report.setting(f"{entry}_ENDPOINT_KEY", f"{of}: its API key")
        scoring = report.setting(f"{entry}_SCORING_ADDRESS", f"{of}: where it scores rows, .../services/{{id}}")
        address = report.setting(f"{entry}_UPDATE_ADDRESS", f"{of}: .../webservices/{{id}}/endpoints/{{name}}")
        model = report.fill_in(
            f"pipelines.{entry}.targets (classic)", "TRAINED_MODEL", "the exact name, '... [trained model]'"
        )
        return classic_target("classic", address, model, {"address": scoring, "key": key})


def new_target(name: str, service: tuple[str, str], asset: str, scoring: Target) -> Target:
    """Return a New web service, by its resource manager and its resource id, as a target."""
    manager, resource = service
    address = {} if manager == AZURE else {"address": manager}
    return {"kind": "new", "name": name, **address, "id": resource, "asset": asset, "scoring": scoring}


def classic_target(name: str, address: str | None, resource: str, scoring: Target) -> Target:
    """Return an endpoint of a Classic web service as a target: one key opens its scoring and its update."""
    key = scoring["key"]
    return {"kind": "classic", "name": name, "address": address, "key": key, "resource": resource, "scoring": scoring}


def named_service(factory: Factory, report: Report, activity: Activity) -> LinkedService | None:
    """Return the linked service of the activity; the report says so when it is missing or not a Studio web service."""
    service = factory.service(activity)
    if service is None:
        report.leave(
            f"{activity.where}: linkedServiceName: {activity.service!r} is in none of the files; give its file too, or "
            "make the settings"
        )
    elif service.kind != "AzureML":
        report.leave(f"{whose(factory, activity)}: type {service.kind!r}: is not a Studio web service ('AzureML')")
    return service


def whose(factory: Factory, activity: Activity) -> str:
    """Return the activity's linked service as messages name it."""
    service = factory.service(activity)
    if service:
        return f"{service.file}: linked service {service.name!r}"
    return f"{activity.where}: linked service {activity.service!r}"
