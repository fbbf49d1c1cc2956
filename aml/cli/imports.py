"""`import-yaml`: make what files of the `az ml` commands describe, in the running workspace."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aml.cli.place import add_data
from aml.cli.remote import Remote, open_running
from service.commands import Failed, Stopped
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
        description="Make what YAML files describe, as `az ml job|component|environment|data|model|online-endpoint|"
        "online-deployment create -f FILE` does. $schema says what a file is, or else its members. Local files that it "
        "names are uploaded. Several files are made in the order in which they need one another.",
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
        return _makers(assets.remote)[kind.schema](assets, document)
    except NotImported as error:
        raise Failed(str(error)) from None
    except Failed as error:
        raise Failed(f"{document.file}: {error}") from None


def _makers(remote: Remote) -> dict[str, Maker]:
    from aml.importing import assets as of_assets
    from aml.importing import jobs, kinds, serving

    def asset(collection: str, body: Callable[[Assets, Document], dict[str, Any]]) -> Maker:
        def make(assets: Assets, document: Document) -> str:
            name, version = document.text("name"), document.text("version", "")
            version = version or assets.next_version(collection, name)
            remote.put(f"{collection}/{name}/versions/{version}", {"properties": body(assets, document)})
            return f"{name}:{version}"

        return make

    def job(body: Callable[[Assets, Document], dict[str, Any]]) -> Maker:
        def make(assets: Assets, document: Document) -> str:
            from service.keys import new_id

            name = document.text("name", new_id())
            remote.put(f"jobs/{name}", {"properties": body(assets, document)})
            return name

        return make

    def endpoint(_: Assets, document: Document) -> str:
        path = f"onlineEndpoints/{document.text('name')}"
        remote.put(path, serving.endpoint_body(document, remote.find(path)))
        return document.text("name")

    def deployment(assets: Assets, document: Document) -> str:
        place = f"{document.text('endpoint_name')}/deployments/{document.text('name')}"
        remote.put(f"onlineEndpoints/{place}", serving.deployment_body(assets, document))
        return place.replace("/deployments/", "/")

    return {
        kinds.ENVIRONMENT.schema: asset("environments", of_assets.environment_body),
        kinds.DATA.schema: asset("data", of_assets.data_body),
        kinds.MODEL.schema: asset("models", of_assets.model_body),
        kinds.COMPONENT.schema: asset("components", jobs.component_body),
        kinds.ENDPOINT.schema: endpoint,
        kinds.DEPLOYMENT.schema: deployment,
        kinds.COMMAND_JOB.schema: job(jobs.command_job),
        kinds.PIPELINE_JOB.schema: job(jobs.pipeline_job),
    }
