"""`python -m shared import-adf`: reads the files, writes the entries, says what is missing. All of the I/O is here."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.adf import templates
from shared.adf.artefacts import Artefact, Other, read_artefact
from shared.adf.carrying import carry_over
from shared.adf.factory import Factory
from shared.adf.report import Report
from shared.base.errors import BadConfiguration
from shared.base.json_file import read_json
from shared.base.secret import redact
from shared.configuration.writing import file_text, write_entries

DONE, REFUSED = 0, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", type=Path, help="pipeline, linked service, data set, ARM template; or folder"
    )
    parser.add_argument(
        "--azureml",
        action="store_true",
        help="make entries of kind azureml of the activities AzureMLExecutePipeline too",
    )
    parser.add_argument("--into", type=Path, metavar="FILE", help="add to this pipelines file, or make it; else stdout")


def import_adf(paths: Sequence[Path], into: Path | None, *, with_workspaces: bool = False) -> int:
    """Return 0 when entries were written, 2 when the files allow none: one line on stderr says why."""
    try:
        artefacts, aside = _artefacts(paths)
        entries, report = carry_over(Factory(artefacts), with_workspaces=with_workspaces)
        report.left += aside
        if not entries:
            kinds = "AzureMLBatchExecution that trains" + (" and no AzureMLExecutePipeline" if with_workspaces else "")
            raise BadConfiguration("\n".join((f"no {kinds} was found", *report.left)))
        put_out(entries, report, into)
    except BadConfiguration as error:
        print(error, file=sys.stderr)
        return REFUSED
    return DONE


def put_out(entries: Mapping[str, Any], report: Report, into: Path | None) -> None:
    """Write the entries to the file, or to stdout, and what they lack to stderr."""
    if into is None:
        print(file_text(entries), end="")
    else:
        write_entries(into, entries)
    names = ", ".join(f"pipelines.{name}" for name in entries)
    print(f"{into or 'stdout'}: {names}", *map(redact, report.lines()), sep="\n", file=sys.stderr)


def _artefacts(paths: Sequence[Path]) -> tuple[list[Artefact], list[str]]:
    """Return what the files hold, and a line for each file in a folder that holds nothing. A named file must."""
    documents = [(file, named, _document(file)) for file, named in _files(paths)]
    artefacts: list[Artefact] = []
    aside: list[str] = []
    given: dict[str, Any] = {}
    for _, _, document in documents:
        if templates.is_parameters(document):
            given |= templates.given_values(document)
    for file, named, document in documents:
        if templates.is_parameters(document):
            continue
        found = list(_of_document(document, file.name, given))
        if not found and named:
            raise BadConfiguration(
                f"{file.name} is not a Data Factory artefact: a pipeline, linked service or data set with 'name' and "
                "'properties' was expected, or an ARM template with them in its 'resources'"
            )
        if not found:
            aside.append(f"{file.name}: is not a Data Factory artefact")
        artefacts += found
    return artefacts, aside


def _of_document(document: Mapping[str, Any], file: str, given: Mapping[str, Any]) -> Iterator[Artefact]:
    if not templates.is_template(document):
        artefact = read_artefact(document, file)
        if artefact:
            yield artefact
        return
    for kind, body in templates.resources(document, given):
        artefact = read_artefact(body, file) if templates.is_artefact(kind) else None
        if artefact:
            yield artefact
        elif not templates.is_factory(kind):
            yield Other(body["name"], file, kind)


def _files(paths: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """Return the files, each with whether it was named itself."""
    for path in paths:
        if not path.is_dir():
            yield path, True
            continue
        inside = sorted(path.rglob("*.json"))
        if not inside:
            raise BadConfiguration(f"{path} has no .json file in it")
        yield from ((file, False) for file in inside)


def _document(file: Path) -> Mapping[str, Any]:
    document = read_json(file, file.name)
    if not isinstance(document, dict):
        raise BadConfiguration(f"{file.name} is not a Data Factory artefact: a JSON object was expected")
    return document
