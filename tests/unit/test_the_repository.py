"""What people expect of a repository, and what stays out of a deployment."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pathspec
import pytest
import yaml

from local.children import ROOT
from local.setup import MADE

VSCODE = sorted(path.name for path in (ROOT / ".vscode").glob("*.json"))


@pytest.mark.parametrize("name", ["LICENSE", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", ".editorconfig"])
def test_the_usual_files_are_there(name: str) -> None:
    assert (ROOT / name).read_text("utf-8").strip()


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"])
def test_every_link_of_a_document_leads_to_a_file(document: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / document).read_text("utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


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
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is not a checkout of git")
    left_out = pathspec.GitIgnoreSpec.from_lines((ROOT / ".funcignore").read_text("utf-8").splitlines())
    deployed = {Path(name).parts[0] for name in listed.stdout.splitlines() if not left_out.match_file(name)}
    assert deployed == {"function_app.py", "host.json", "requirements.txt", "shared"}


def test_git_ignores_everything_that_is_made() -> None:
    ignored = pathspec.GitIgnoreSpec.from_lines((ROOT / ".gitignore").read_text("utf-8").splitlines())
    assert [name for name in MADE if not ignored.match_file(f"{name}/file")] == []
