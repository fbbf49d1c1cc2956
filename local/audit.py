"""Asks for known vulnerabilities of what is deployed and of what develops; says so where nobody can be asked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from local.children import ROOT

FILES = ("requirements.txt", "requirements-dev.txt")
_OPTIONS = ("--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off", "--timeout", "10")


def main() -> int:
    files = [part for name in FILES for part in ("-r", str(ROOT / name))]
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", *_OPTIONS, *files], capture_output=True, text=True, check=False
    )
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        print(f"pip-audit: nothing was audited, no advisory source answered: {last[:200]}")
        return 0
    code, lines = verdict(packages)
    print("\n".join(lines))
    return code


def verdict(packages: Sequence[Mapping[str, Any]]) -> tuple[int, list[str]]:
    """Return the exit code and what to say about the packages as pip-audit reports them."""
    asked = [each for each in packages if "skip_reason" not in each]
    found = {f"{each['name']} {each['version']}: {_summary(vuln)}" for each in asked for vuln in each["vulns"]}
    if not asked:
        return 0, [f"pip-audit: nothing was audited, no advisory source knows one of the {len(packages)} packages here"]
    skipped = len(packages) - len(asked)
    rest = f"; {skipped} could not be audited" if skipped else ""
    return int(bool(found)), [*sorted(found), f"pip-audit: {len(asked)} packages, {len(found)} vulnerabilities{rest}"]


def _summary(vulnerability: Mapping[str, Any]) -> str:
    fixed = ", ".join(vulnerability.get("fix_versions", []))
    return f"{vulnerability['id']}, {f'fixed in {fixed}' if fixed else 'not fixed yet'}"


if __name__ == "__main__":
    sys.exit(main())
