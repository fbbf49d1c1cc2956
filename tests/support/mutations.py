"""Mutation tests: each deliberate fault of `tests/mutations.yaml` must make the test fail that is named for it.

The fault is put into the module as it is imported, in its own process: no file is changed.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "tests" / "mutations.yaml"


class Mutation(msgspec.Struct, frozen=True, kw_only=True):
    """`text` stands once in the file, and `becomes` something else."""

    fault: str
    file: str
    text: str
    becomes: str
    test: str

    def source(self) -> str:
        """Return the file's source with the fault in it."""
        source = (ROOT / self.file).read_text("utf-8")
        if (found := source.count(self.text)) != 1:
            raise ValueError(f"{self.file} has the text of {self.fault!r} {found} times, not once; correct {FILE.name}")
        return source.replace(self.text, self.becomes)


def read_mutations() -> list[Mutation]:
    return msgspec.yaml.decode(FILE.read_bytes(), type=list[Mutation])


def plant(mutation: Mutation) -> None:
    """Have this process import the module with the fault."""
    path, mutated, get_code = str(ROOT / mutation.file), mutation.source(), SourceFileLoader.get_code

    def with_fault(loader: SourceFileLoader, name: str) -> object:
        return compile(mutated, path, "exec") if loader.path == path else get_code(loader, name)

    setattr(SourceFileLoader, "get_code", with_fault)  # noqa: B010 (mypy refuses an assignment to a method)


def run(tests: list[str], number: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", __spec__.name, number, *tests]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)


def main() -> int:
    mutations = read_mutations()
    before = run(sorted({mutation.test for mutation in mutations}))
    if before.returncode:
        print(before.stdout, before.stderr, sep="\n")
        print("The tests fail without any fault; correct that first.")
        return 1
    missed = 0
    for number, mutation in enumerate(mutations):
        noticed = f"FAILED {mutation.test}" in run([mutation.test], str(number)).stdout
        missed += not noticed
        print(f"{'noticed' if noticed else 'MISSED '}  {mutation.fault}\n         {mutation.test}", flush=True)
    print(f"{len(mutations) - missed} of {len(mutations)} deliberate faults are noticed by their tests")
    return 1 if missed else 0


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit(main())
    if sys.argv[1]:
        plant(read_mutations()[int(sys.argv[1])])
    sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *sys.argv[2:]]))
