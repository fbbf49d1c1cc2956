"""`import-yaml`: make what files of the `az ml` commands describe, in the running workspace."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aml.cli.place import add_data
from aml.cli.running import open_running
from service.commands import Failed, Stopped
from service.keys import new_id
from service.output import add_json, print_json, print_table

if TYPE_CHECKING:
    from aml.importing.assets import Assets
    from aml.importing.document import Document
    from aml.importing.kinds import Kind

Maker = Callable[["Assets", "Document"], str]


def add(commands: Any) -> None:
    imported = commands.add_parser(
        "import-yaml",
        help="make the jobs, components, models, endpoints and others that YAML files of az ml describe",
        description="Make what YAML files describe, as `az ml KIND create -f FILE` does, where KIND is job, component, "
        "environment, data, model, online-endpoint, online-deployment, batch-endpoint or batch-deployment. $schema "
        "says what a file is, or else its members. Local files that it names are uploaded. Several files are made in "
        "the order in which they need one another.",
    )
    imported.add_argument("files", metavar="FILE", nargs="+", type=Path, help="a YAML file")
    add_data(imported)
    add_json(imported)
    imported.set_defaults(run=_import)


def _import(chosen: argparse.Namespace) -> int:
    from aml.importing.assets import Assets

    files = read_files(chosen.files)
    assets, made = Assets(open_running(chosen.data)), list[dict[str, str]]()
    try:
        for document, kind in files:
            name = make_one(assets, document, kind)
            made.append({"name": name, "made": kind.what.partition(" ")[2], "file": str(document.file)})
    finally:
        if chosen.json:
            print_json(made)
        elif made:
            print_table(list(made[0]), [list(each.values()) for each in made])
    return 0


def read_files(files: list[Path]) -> list[tuple[Document, Kind]]:
    """Return the files in the order in which they are made. Raises with every file's first mistake, before any call."""
    from aml.importing.document import NotImported, check_local_files, read_document
    from aml.importing.kinds import KINDS, kind_of

    found, wrong = list[tuple["Document", "Kind"]](), list[str]()
    for file in files:
        try:
            document = read_document(file)
            kind = kind_of(document)
            document.check_keys(kind.keys, kind.what)
            check_local_files(document)
            found.append((document, kind))
        except NotImported as error:
            wrong.append(str(error))
    if wrong:
        raise Stopped("\n     ".join(wrong))
    return sorted(found, key=lambda each: KINDS.index(each[1]))


def make_one(assets: Assets, document: Document, kind: Kind) -> str:
    """Make what a file describes, and return its name. Raises `Failed` with the file's name."""
    from aml.importing.document import NotImported

    try:
        return _makers()[kind.schema](assets, document)
    except NotImported as error:
        raise Failed(str(error)) from None
    except Failed as error:
        raise Failed(f"{document.file}: {error}") from None


Body = Callable[["Assets", "Document"], dict[str, Any]]


def _makers() -> dict[str, Maker]:
    """Return what makes each kind."""
    from aml.importing import assets, jobs, kinds, serving

    return {
        kinds.ENVIRONMENT.schema: _asset("environments", assets.environment_body),
        kinds.DATA.schema: _asset("data", assets.data_body),
        kinds.MODEL.schema: _asset("models", assets.model_body),
        kinds.COMPONENT.schema: _asset("components", jobs.component_body),
        kinds.PIPELINE_COMPONENT.schema: _asset("components", jobs.pipeline_component_body),
        kinds.ENDPOINT.schema: _endpoint("onlineEndpoints", serving.endpoint_body),
        kinds.DEPLOYMENT.schema: _deployment("onlineEndpoints", serving.deployment_body),
        kinds.BATCH_ENDPOINT.schema: _endpoint("batchEndpoints", serving.batch_endpoint_body),
        kinds.BATCH_DEPLOYMENT.schema: _deployment("batchEndpoints", serving.batch_deployment_body),
        kinds.COMMAND_JOB.schema: _job(jobs.command_job),
        kinds.PIPELINE_JOB.schema: _job(jobs.pipeline_job),
    }


def _asset(collection: str, body: Body) -> Maker:
    def make(assets: Assets, document: Document) -> str:
        name, version = document.text("name"), document.text("version", "")
        version = version or assets.next_version(collection, name)
        assets.remote.put(f"{collection}/{name}/versions/{version}", {"properties": body(assets, document)})
        return f"{name}:{version}"

    return make


def _job(body: Body) -> Maker:
    def make(assets: Assets, document: Document) -> str:
        name = document.text("name", new_id())
        assets.remote.put(f"jobs/{name}", {"properties": body(assets, document)})
        return name

    return make


def _endpoint(collection: str, body: Callable[[Document, Any], dict[str, Any]]) -> Maker:
    def make(assets: Assets, document: Document) -> str:
        path = f"{collection}/{document.text('name')}"
        assets.remote.put(path, body(document, assets.remote.find(path)))
        return document.text("name")

    return make


def _deployment(collection: str, body: Body) -> Maker:
    def make(assets: Assets, document: Document) -> str:
        endpoint, name = document.text("endpoint_name"), document.text("name")
        assets.remote.put(f"{collection}/{endpoint}/deployments/{name}", body(assets, document))
        return f"{endpoint}/{name}"

    return make
