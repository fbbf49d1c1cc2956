"""The requirement files: pinned with hashes, without addresses, and the same where they overlap."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from local.children import ROOT
from local.setup.lock import SOURCES as LOCKED

GLOBS = ("*.in", "infra/*.in", "local/*.in", "local/*/*.in", "tests/**/*.in")
SOURCES = sorted(path.relative_to(ROOT).as_posix() for glob in GLOBS for path in ROOT.glob(glob))
LOCK_FILES = ["local/azurite/package-lock.json", "tests/clients/package-lock.json"]


def pinned(name: str) -> dict[str, list[str]]:
    """Return the hashes of each requirement of a file, by the requirement as it is written."""
    found: dict[str, list[str]] = {}
    text = (ROOT / name).read_text("utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.lstrip().startswith("#"):
            requirement, *hashes = re.split(r"\s+--hash=", line.strip())
            found[requirement] = hashes
    return found


@pytest.mark.parametrize("source", SOURCES)
def test_every_requirement_has_one_version_and_its_hashes(source: str) -> None:
    found = pinned(str(Path(source).with_suffix(".txt")))
    assert found
    for requirement, hashes in found.items():
        [only] = Requirement(requirement).specifier
        assert (only.operator, "*" in only.version) == ("==", False), requirement
        assert hashes, requirement
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", each) for each in hashes), requirement


def test_one_command_pins_every_source() -> None:
    assert sorted(LOCKED) == SOURCES


@pytest.mark.parametrize("source", SOURCES)
def test_what_a_source_names_is_in_the_file_made_from_it(source: str) -> None:
    lines = (ROOT / source).read_text("utf-8").splitlines()
    named = {canonicalize_name(Requirement(line).name) for line in lines if line and line[0] not in "#-"}
    made = {canonicalize_name(Requirement(each).name) for each in pinned(str(Path(source).with_suffix(".txt")))}
    assert named - made == set(), "run: python3 run.py lock"


@pytest.mark.parametrize("other", ["requirements-local.txt", "requirements-dev.txt"])
def test_what_is_tested_is_what_is_deployed(other: str) -> None:
    deployed = pinned("requirements.txt")
    assert {each: hashes for each, hashes in pinned(other).items() if each in deployed} == deployed


def test_the_runtime_is_tried_with_what_is_deployed() -> None:
    [deployed, tried] = (_on_3_13(name) for name in ("requirements.txt", "tests/runtime/requirements.txt"))
    assert {name: version for name, version in tried.items() if name in deployed} == deployed


def test_what_runs_here_is_a_part_of_what_develops() -> None:
    assert pinned("requirements-local.txt").items() <= pinned("requirements-dev.txt").items()


@pytest.mark.parametrize("source", SOURCES)
def test_no_requirement_file_names_an_index_or_an_address(source: str) -> None:
    for name in (source, str(Path(source).with_suffix(".txt"))):
        text = (ROOT / name).read_text("utf-8")
        assert "://" not in text
        assert not re.search(r"^\s*(--(extra-)?index-url|-i|--find-links|-f)\b", text, re.MULTILINE)


@pytest.mark.parametrize("name", LOCK_FILES)
def test_no_npm_lock_file_names_a_registry_and_every_package_has_its_hash(name: str) -> None:
    packages = json.loads((ROOT / name).read_text("utf-8"))["packages"]
    assert not [path for path, package in packages.items() if "resolved" in package]
    assert not [path for path, package in packages.items() if path and "integrity" not in package]


def _on_3_13(name: str) -> dict[str, str]:
    environment = {"python_version": "3.13", "python_full_version": "3.13.0"}
    requirements = (Requirement(each) for each in pinned(name))
    return {
        each.name: str(each.specifier)
        for each in requirements
        if each.marker is None or each.marker.evaluate(environment)
    }
