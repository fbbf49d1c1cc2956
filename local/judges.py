"""Others' judgement of what is deployed: checkov of the templates, the workflow and the dev container, a parser of the
hook's PowerShell, and azure-functions-doctor of the app's folder.

A finding fails the check unless it is explained: checkov's in the file itself (`checkov:skip`), the doctor's here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from local import deployed
from local.children import ROOT

#: the doctor's rules, and why their warnings stay
EXPLAINED = {
    "check_native_dependency_risk": "cryptography and NumPy: azd has Azure install them, on its own Linux",
    "check_venv": "Azure makes the environment when it installs the requirements",
    "check_funcignore": "it did its work: this is what it left",
}
_FRAMEWORKS = ("bicep", "github_actions", "dockerfile")
_FOLDERS = ("-d", deployed.TEMPLATES, "-d", ".github", "-d", ".devcontainer")
_CHECKOV = (*_FOLDERS, "--framework", *_FRAMEWORKS, "--compact", "--quiet", "--skip-download")
#: says where the parser stumbles over a file of PowerShell, which is its argument
_PARSE = """
import sys, tree_sitter, tree_sitter_powershell
parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
pending = [parser.parse(open(sys.argv[1], "rb").read()).root_node]
for node in pending:
    if node.is_error or node.is_missing:
        sys.exit(f"line {node.start_point.row + 1}: not PowerShell")
    pending += node.children
"""
_DOCTOR = ("doctor", "--profile", "deploy", "--hosting-plan", "flex-consumption", "--format", "json", "--path")


def main() -> int:
    python = os.environ.get("RELEARN_JUDGES_PYTHON")
    if python is None:
        print(f"checkov and azure-functions-doctor: {os.environ.get('RELEARN_JUDGES_MISSING', 'not installed')}")
        return 0
    return max(_checkov(Path(python)), _powershell(Path(python)), _doctor(Path(python)))


def _checkov(python: Path) -> int:
    done = subprocess.run(
        [str(python.parent / "checkov"), *_CHECKOV], cwd=ROOT, capture_output=True, text=True, check=False
    )
    # every framework looks at every folder, and says so
    summaries = [line for line in done.stdout.splitlines() if line.startswith("Passed checks")]
    good = len(summaries) >= len(_FRAMEWORKS) and not done.returncode
    print(
        *([f"checkov: {each}" for each in sorted({*summaries})] if good else ["checkov:", done.stdout, done.stderr]),
        sep="\n",
    )
    return int(not good)


def _powershell(python: Path) -> int:
    failed = 0
    for file in sorted((ROOT / deployed.TEMPLATES).rglob("*.ps1")):
        done = subprocess.run([str(python), "-c", _PARSE, str(file)], capture_output=True, text=True, check=False)
        print(f"tree-sitter-powershell, {file.name}: {done.stderr.strip() or 'parsed'}")
        failed |= done.returncode
    return failed


def _doctor(python: Path) -> int:
    with TemporaryDirectory() as folder:
        deployed.stage(ROOT, Path(folder))
        values = {"FUNCTIONS_WORKER_RUNTIME": "python", **deployed.settings(ROOT)}
        text = json.dumps({"IsEncrypted": False, "Values": values})
        (Path(folder) / "local.settings.json").write_text(text, "utf-8")
        command = [str(python.parent / "azure-functions-doctor"), *_DOCTOR, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        items = [item for section in json.loads(done.stdout)["results"] for item in section["items"]]
    except (ValueError, KeyError):
        print(f"azure-functions-doctor: gave no report: {done.stderr or done.stdout}")
        return 1
    unexplained = found(items)
    passed = sum(item["status"] == "pass" for item in items)
    print("\n".join([*unexplained, f"azure-functions-doctor: {passed} passed, {len(unexplained)} not explained"]))
    return int(bool(unexplained or not passed))


def found(items: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for each finding of the doctor that is not explained."""
    return [
        f"azure-functions-doctor: {item['rule_id']}: {' '.join(str(item['value']).split())}"
        for item in items
        if item["status"] not in ("pass", "skip") and item["rule_id"] not in EXPLAINED
    ]


if __name__ == "__main__":
    sys.exit(main())
