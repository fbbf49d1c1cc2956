"""The models of the workspace as MLflow's registry has them: their ids, stages, and tags to find them by."""

from __future__ import annotations

from aml.state.records import Resource, Version

STAGES = ("None", "Staging", "Production", "Archived")
COLLECTION = "models"


def asset_id(name: str) -> str:
    return f"{COLLECTION}/{name}".lower()


def versions_id(name: str) -> str:
    return f"{asset_id(name)}/versions"


def stage_of(version: Version) -> str:
    return str(version.properties.get("stage") or STAGES[0])


def tags_to_find(resource: Resource) -> dict[str, str]:
    """Return the tags by which it is found. MLflow 3 asks for what is not a prompt, whether it has the tag or not."""
    return {"mlflow.prompt.is_prompt": "false", **(resource.properties.get("tags") or {})}


def latest_of_stages(versions: list[Version]) -> dict[str, Version]:
    """Return the newest version of each stage; `versions` are in the order they were made."""
    return {stage_of(each): each for each in versions}
