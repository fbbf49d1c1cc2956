"""What a file describes: its kind, and the keys that this kind has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aml.importing.document import Document, Keys
from shared.base.suggestion import suggestion


def _keys(text: str, **below: Keys) -> Keys:
    return {**dict.fromkeys(text.split()), **below}


_ANY = "$schema name description tags properties"
_JOB = f"{_ANY} type display_name experiment_name compute identity services inputs outputs"
_RUN = "command code environment environment_variables"
_RESOURCES = _keys("instance_count instance_type shm_size docker_args locations properties")
_LIMITS = _keys("timeout")
_PROBE = _keys("initial_delay period timeout success_threshold failure_threshold")
_SCALE = _keys("type min_instances max_instances polling_interval target_utilization_percentage")
_REQUESTS = _keys("request_timeout_ms max_concurrent_requests_per_instance max_queue_wait_ms")
_COMPONENT = _keys(
    f"{_ANY} {_RUN} type version display_name is_deterministic inputs outputs distribution",
    resources=_RESOURCES,
)
#: a step of a pipeline job: a component, or a command
NODE = _keys(
    f"{_RUN} type name description display_name component inputs outputs compute identity distribution comment",
    resources=_RESOURCES,
    limits=_LIMITS,
)
_COMMAND_JOB = _keys(f"{_JOB} {_RUN} distribution queue_settings parent_job_name", resources=_RESOURCES, limits=_LIMITS)


@dataclass(frozen=True)
class Kind:
    """`schema` is the name of its schema, `what` how messages call it. Kinds are imported in their order here."""

    schema: str
    what: str
    keys: Keys


ENVIRONMENT = Kind(
    "environment",
    "an environment",
    _keys(f"{_ANY} version image conda_file inference_config os_type datastore", build=_keys("path dockerfile_path")),
)
DATA = Kind("data", "a data asset", _keys(f"{_ANY} version type path datastore auto_delete_setting"))
MODEL = Kind("model", "a model", _keys(f"{_ANY} version type path stage flavors datastore system_metadata"))
COMPONENT = Kind("commandComponent", "a command component", _COMPONENT)
PIPELINE_COMPONENT = Kind(
    "pipelineComponent",
    "a pipeline component",
    _keys(f"{_ANY} type version display_name is_deterministic inputs outputs jobs"),
)
COMMAND_JOB = Kind("commandJob", "a command job", _COMMAND_JOB)
PIPELINE_JOB = Kind("pipelineJob", "a pipeline job", _keys(f"{_JOB} jobs settings"))
ENDPOINT = Kind(
    "managedOnlineEndpoint",
    "an online endpoint",
    _keys(f"{_ANY} auth_mode traffic mirror_traffic public_network_access location identity"),
)
DEPLOYMENT = Kind(
    "managedOnlineDeployment",
    "an online deployment",
    _keys(
        f"{_ANY} type endpoint_name model environment environment_variables model_mount_path instance_type "
        "instance_count app_insights_enabled egress_public_network_access private_network_connection data_collector",
        code_configuration=_keys("code scoring_script"),
        scale_settings=_SCALE,
        request_settings=_REQUESTS,
        liveness_probe=_PROBE,
        readiness_probe=_PROBE,
    ),
)
BATCH_ENDPOINT = Kind(
    "batchEndpoint", "a batch endpoint", _keys(f"{_ANY} auth_mode", defaults=_keys("deployment_name"))
)
BATCH_DEPLOYMENT = Kind(
    "pipelineComponentBatchDeployment",
    "a batch deployment",
    _keys("$schema name endpoint_name type component settings tags description"),
)
KINDS = (
    ENVIRONMENT,
    DATA,
    MODEL,
    COMPONENT,
    PIPELINE_COMPONENT,
    ENDPOINT,
    DEPLOYMENT,
    BATCH_ENDPOINT,
    BATCH_DEPLOYMENT,
    COMMAND_JOB,
    PIPELINE_JOB,
)
_BY_SCHEMA: Mapping[str, Kind] = {kind.schema.lower(): kind for kind in KINDS}
_DATA_TYPES = ("uri_file", "uri_folder", "mltable")


def kind_of(document: Document) -> Kind:
    """Return the kind: what `$schema` says, else what the members say."""
    if "$schema" in document.content:
        name = document.text("$schema").rstrip("/").rpartition("/")[2]
        schema = re.sub(r"\.(schema\.)?json$", "", name)
        if found := _BY_SCHEMA.get(schema.lower()):
            return found
        known = suggestion(schema, [kind.schema for kind in KINDS], all_of="files of these schemas are imported:")
        raise document.error(f"{schema!r} is not a schema that is imported; {known}", "$schema")
    return _by_members(document)


def _by_members(document: Document) -> Kind:
    names = document.content.keys()
    kind = document.content.get("type")
    if "endpoint_name" in names:
        return BATCH_DEPLOYMENT if "component" in names else DEPLOYMENT
    if "jobs" in names or kind == "pipeline":
        return PIPELINE_COMPONENT if _declares(document) else PIPELINE_JOB
    if "command" in names:
        return COMPONENT if _declares(document) else COMMAND_JOB
    if "defaults" in names:
        return BATCH_ENDPOINT
    if {"auth_mode", "traffic"} & names:
        return ENDPOINT
    if {"image", "build", "conda_file"} & names:
        return ENVIRONMENT
    if "path" in names and isinstance(kind, str):
        return DATA if kind in _DATA_TYPES else MODEL
    raise document.error(
        "what this file describes cannot be seen; add $schema: https://azuremlschemas.azureedge.net/latest/"
        f"NAME.schema.json with one of: {', '.join(kind.schema for kind in KINDS)}"
    )


def _declares(document: Document) -> bool:
    """Return whether the file is of a component, which declares inputs, and not of a job, which gives them."""
    if {"compute", "experiment_name", "limits", "services", "settings"} & document.content.keys():
        return False
    declared = [each for _, each in document.below("inputs").maps() if not {"path", "value"} & each.content.keys()]
    return bool(declared or {"version", "is_deterministic"} & document.content.keys())
