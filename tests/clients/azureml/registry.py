"""MLflow's registry beside the workspace's models: what one of them registers, the other has too."""

import mlflow
from azure.ai.ml.entities import Model
from mlflow.exceptions import MlflowException
from report import report

NAME = "by-mlflow"


def run(client, trained):
    own = mlflow.MlflowClient()
    version = mlflow.register_model(f"runs:/{trained.name}/model", NAME, tags={"kind": "try"})
    report("mlflow registers the model of a job", [version.version, version.run_id == trained.name])
    report("a second one has the next number", mlflow.register_model(f"runs:/{trained.name}/model", NAME).version)
    found = client.models.get(NAME, "1")
    report("the workspace has it", [found.type, found.tags, found.path.endswith(f"dcid.{trained.name}/model")])
    third = client.models.create_or_update(Model(name=NAME, path=found.path, type="mlflow_model", description="text"))
    seen = own.get_model_version(NAME, third.version)
    report("mlflow has what the workspace registers", [seen.version, seen.description, seen.status])

    own.set_registered_model_alias(NAME, "champion", "2")
    report("a version is found by its alias", own.get_model_version_by_alias(NAME, "champion").version)
    own.delete_registered_model_alias(NAME, "champion")
    report("an alias that is deleted is not found", code(own.get_model_version_by_alias, NAME, "champion"))
    own.transition_model_version_stage(NAME, "1", "Production")
    report("the workspace has the stage", client.models.get(NAME, "1").stage)
    newest = own.get_latest_versions(NAME)
    report("the newest version of each stage is found", {each.current_stage: each.version for each in newest})
    report("versions are found by a tag", [each.version for each in own.search_model_versions("tags.kind = 'try'")])
    report("models are found by name", [each.name for each in own.search_registered_models("name LIKE 'by-m%'")])

    own.update_model_version(NAME, "2", "better")
    own.set_model_version_tag(NAME, "2", "rows", "200")
    found = client.models.get(NAME, "2")
    report("the workspace has the description and the tags", [found.description, found.tags])
    report("a model is made once", code(own.create_registered_model, NAME))
    report("a version that is not there is refused", code(own.get_model_version, NAME, "9"))
    report("a stage that is not one is refused", code(own.transition_model_version_stage, NAME, "1", "Sold"))
    own.delete_model_version(NAME, "3")
    own.delete_registered_model(NAME)
    report("a model that is deleted is not there", code(own.get_registered_model, NAME))
    report("nor is it in the workspace", NAME in [each.name for each in client.models.list()])


def code(call, *arguments):
    """Return the code with which MLflow's client refuses, or None."""
    try:
        call(*arguments)
    except MlflowException as error:
        return error.error_code
    return None
