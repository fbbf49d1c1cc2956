"""What people expect of a repository, and what stays out of a deployment."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pathspec
import pytest
import yaml

from local import deployed
from local.children import ROOT
from local.setup import MADE
from shared.domain.messages import read_request
from tests.support.mutations import read_mutations

DOCUMENTS = sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
VSCODE = sorted(path.name for path in (ROOT / ".vscode").glob("*.json"))


@pytest.mark.parametrize("name", ["LICENSE", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", ".editorconfig"])
def test_the_usual_files_are_there(name: str) -> None:
    assert (ROOT / name).read_text("utf-8").strip()


def headings(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_of_a_document_leads_to_a_file_and_a_heading(document: str) -> None:
    here = ROOT / document
    links = re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", here.read_text("utf-8"))
    places = [(here.parent / file if file else here, heading) for file, heading in links]
    assert [str(file) for file, _ in places if not file.exists()] == []
    assert [heading for file, heading in places if heading and heading not in headings(file)] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_ends_with_where_to_go_next(document: str) -> None:
    last = (ROOT / document).read_text("utf-8").rstrip().rpartition("\n\n")[2]
    assert last.startswith("Next: ")
    assert "](" in last


def test_every_message_of_the_documentation_is_one_that_the_app_reads() -> None:
    blocks = [
        block
        for document in DOCUMENTS
        for block in re.findall(r"^```json\n(.*?)^```$", (ROOT / document).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    ]
    messages = [line for block in blocks for line in block.splitlines()]
    assert len(messages) > 5
    for message in messages:
        read_request(message.encode())


def test_every_record_of_the_store_is_in_the_table_of_records() -> None:
    def names(text: str, form: str) -> set[str]:
        return {re.sub(r"\{[^}]*\}", "{}", name) for name in re.findall(form, text, re.MULTILINE)}

    files = (ROOT / "shared/store").glob("*.py")
    stored = names("\n".join(file.read_text("utf-8") for file in files), r"^([a-z]+/[\w{}/]+\.json)\s")
    listed = names((ROOT / "docs/architecture.md").read_text("utf-8"), r"`([a-z]+/[\w{}/ ]+\.json)`")
    assert len(stored) > 15
    assert stored - listed == set()


def test_the_map_names_modules_that_are_there_and_every_flow_and_rule() -> None:
    text = (ROOT / "docs/architecture.md").read_text("utf-8")
    there = {
        file.name
        for folder in ("shared", "service", "studio", "aml", "local", "tests")
        for file in (ROOT / folder).rglob("*.py")
    }
    named = set(re.findall(r"\w+\.py\b", text))
    assert len(named) > 30
    assert named - there - {"function_app.py", "run.py"} == set()
    rooms = [ROOT / "shared/domain", ROOT / "shared/flows"]
    assert {file.name for room in rooms for file in room.glob("*.py")} - named == set()


def test_every_file_that_the_guide_names_is_there() -> None:
    names = re.findall(r"`((?:shared|studio|tests|local|docs)/[\w./]+)`", (ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    assert len(names) > 10
    assert [name for name in names if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", VSCODE)
def test_the_editors_files_are_json_without_remarks(name: str) -> None:
    assert json.loads((ROOT / ".vscode" / name).read_text("utf-8"))


def test_the_checks_before_a_commit_are_those_of_the_check_command() -> None:
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert [hook["entry"] for hook in repository["hooks"]] == ["python3 run.py check"]


def test_what_is_deployed_is_the_app_alone() -> None:
    names = files_of_a_checkout()
    assert {Path(name).parts[0] for name in names} == {
        "function_app.py",
        "host.json",
        "requirements.txt",
        "samples",
        "shared",
    }


def test_the_deployed_sample_passes_its_check(tmp_path: Path) -> None:
    files_of_a_checkout()
    deployed.stage(ROOT, tmp_path)
    environment = {"PATH": os.environ["PATH"], **deployed.settings(ROOT), **deployed.sample_settings(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "shared", "check"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def files_of_a_checkout() -> list[str]:
    try:
        return deployed.files(ROOT)
    except subprocess.CalledProcessError:
        pytest.skip("this is not a checkout of git")


def test_git_ignores_everything_that_is_made() -> None:
    ignored = pathspec.GitIgnoreSpec.from_lines((ROOT / ".gitignore").read_text("utf-8").splitlines())
    assert [name for name in MADE if not ignored.match_file(f"{name}/file")] == []


def test_every_mutation_still_changes_its_file_and_names_a_test() -> None:
    mutations = read_mutations()
    assert len(mutations) >= 16
    for mutation in mutations:
        compile(mutation.source(), mutation.file, "exec")
        file, _, test = mutation.test.partition("::")
        assert f"\ndef {test}(" in (ROOT / file).read_text("utf-8"), mutation.fault
