"""Activities that run a pipeline of Azure Machine Learning, as entries of kind `azureml`.

What such an activity runs was published with the first SDK, and only its id is known here. So the entry names the
workspace, the data, the parameters and the times; the training itself has to be published as a command component.
"""

from collections.abc import Iterator

from shared.adf.artefacts import ExecutePipeline, LinkedService, Pipeline
from shared.adf.entries import Entry, gate_and_proof, limits, parameters
from shared.adf.factory import Factory
from shared.adf.report import Report
from shared.adf.targets import whose
from shared.adf.translation import blob_pattern

KIND = "AzureMLExecutePipeline"
SERVICE = "AzureMLService"
BATCHES, MODELS = "relearn_batches", "relearn_models"  #: datastores, as docs/azureml.md calls them


def runs_of(factory: Factory) -> Iterator[tuple[Pipeline, ExecutePipeline]]:
    for pipeline in factory.pipelines.values():
        for activity in pipeline.activities:
            if isinstance(activity, ExecutePipeline):
                yield pipeline, activity


def entry(factory: Factory, report: Report, activity: ExecutePipeline, key: str) -> Entry:
    report.leave_keys(activity)
    gate, proof = gate_and_proof(report, key)
    workspace = _workspace(factory, report, activity)
    return {
        "blobs": _blobs(report, activity, f"{key}.blobs"),
        "training": _training(report, activity, workspace, f"{key}.training"),
        "gate": gate,
        "targets": [_target(report, workspace, f"{key}.targets (online)")],
        "proof": proof,
    }


def _workspace(factory: Factory, report: Report, activity: ExecutePipeline) -> str:
    """Return the resource id of the workspace, or a setting in its place."""
    service, of = factory.service(activity), whose(factory, activity)
    wish = f"{activity.service or activity.name}_WORKSPACE"
    takes = f"{of}: the resource id of the workspace, /subscriptions/.../workspaces/{{name}}"
    if service is None:
        report.leave(f"{of}: is in none of the files; give its file too, or make the setting")
        return report.setting(wish, takes)
    if service.kind != SERVICE:
        report.leave(f"{of}: type {service.kind!r}: is not a workspace ({SERVICE!r})")
        return report.setting(wish, takes)
    if service.service_principal:
        role = "give it the role AzureML Data Scientist on the workspace"
        report.leave(f"{of}: servicePrincipalId: the app's identity takes its place; {role}")
    return _id(service) or report.setting(wish, takes)


def _id(service: LinkedService) -> str | None:
    parts = service.workspace
    if not all(isinstance(part, str) and part and "/" not in part and "${" not in part for part in parts):
        return None
    subscription, group, name = parts
    provider = "providers/Microsoft.MachineLearningServices"
    return f"/subscriptions/{subscription}/resourceGroups/{group}/{provider}/workspaces/{name}"


def _blobs(report: Report, activity: ExecutePipeline, key: str) -> str:
    path = next(iter(activity.paths.values()), None)
    # The datastore stands where the container would.
    found = blob_pattern(f"datastore/{path.path}") if path and isinstance(path.path, str) else None
    if path is None or found is None:
        report.leave(
            f"{activity.where}: dataPathAssignments: no path in plain text; the data is what is dropped from now on"
        )
        return report.fill_in(key, "BLOBS", "which blobs are training data, for example income/*.csv")
    report.fill_ins.append(
        f"{key}: {found[1]} lies in the datastore {path.storage!r}: set TRAINING_DATA_PATH to its container/{{name}}, "
        "and TRAINING_DATA to its storage"
    )
    return found[1]


def _training(report: Report, activity: ExecutePipeline, workspace: str, key: str) -> Entry:
    published = f" {activity.published}" if isinstance(activity.published, str) else ""
    names = list(activity.paths)
    for name in names[1:]:
        report.leave(f"{activity.where}: dataPathAssignments.{name}: a job gets one file, {names[0]!r}")
    found: Entry = {
        "kind": "azureml",
        "workspace": workspace,
        "component": report.fill_in(
            f"{key}.component",
            "COMPONENT",
            f"NAME:VERSION of a command component that trains as the published pipeline{published} does; whether that "
            "one trains cannot be seen here: if it only scores, remove this entry",
        ),
        "compute": report.fill_in(f"{key}.compute", "COMPUTE", "the cluster on which it runs"),
        **({"data": names[0]} if names else {}),
        "datastore": BATCHES,
    }
    if given := parameters(report, activity, activity.parameters, "mlPipelineParameters", key):
        found["parameters"] = given
    if isinstance(activity.experiment, str):
        found["experiment"] = activity.experiment
    elif activity.experiment:
        report.leave(f"{activity.where}: experimentName: an expression; the experiment is the entry's name")
    report.fill_ins.append(
        f"{key}.datastore: {BATCHES}, and {MODELS} of the target: make them over the app's containers, as "
        "docs/azureml.md says"
    )
    return found | limits(report, activity)


def _target(report: Report, workspace: str, key: str) -> Entry:
    return {
        "kind": "azureml-online",
        "name": "online",
        "workspace": workspace,
        "endpoint": report.fill_in(f"{key}.endpoint", "ENDPOINT", "the online endpoint that gets the model"),
        "model": report.fill_in(f"{key}.model", "MODEL_NAME", "the name of its models in the workspace"),
        "datastore": MODELS,
    }
