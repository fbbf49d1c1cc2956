"""The map of docs/architecture.md, enforced: which folder may import which, and how long a file may be."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: What each room of `shared` may import of `shared`. A room that is not listed may import every room.
ALLOWED = {
    "base": {"base"},
    "domain": {"base", "domain"},
    "store": {"base", "domain", "store"},
    "configuration": {"base", "domain", "configuration"},
    "adapters": {"base", "domain", "adapters"},
    "flows": {"base", "domain", "store", "flows"},
    "adf": {"base", "domain", "configuration", "adf"},
}


@dataclass
class Parsed:
    imports: set[str]
    functions: dict[str, int]  #: the lines of the longest of each name


@cache
def parsed(file: Path) -> Parsed:
    """Parse a file once for all rules."""
    found = Parsed(set(), {})
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.imports.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.imports.add(node.module)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            found.functions[node.name] = max(lines, found.functions.get(node.name, 0))
    return found


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_rooms_below_it(room: str) -> None:
    found = {(file.name, name) for file in (ROOT / "shared" / room).rglob("*.py") for name in parsed(file).imports}
    rooms = {(file, name.split(".")[1]) for file, name in found if name.startswith("shared.")}
    assert {each for each in rooms if each[1] not in ALLOWED[room]} == set()


def test_only_the_app_and_doctor_import_adapters() -> None:
    files = {file for file in (ROOT / "shared").rglob("*.py") if "adapters" not in file.parts}
    using = {file for file in files if any(name.startswith("shared.adapters") for name in parsed(file).imports)}
    assert {str(file.relative_to(ROOT / "shared")) for file in using if "doctor" not in file.parts} == {"app.py"}


@pytest.mark.parametrize(
    ("folder", "above"),
    [
        ("shared", {"service", "studio", "aml", "local", "tests"}),
        ("service", {"shared", "studio", "aml", "local", "tests"}),
        ("studio", {"shared", "aml", "local", "tests"}),
        ("aml", {"shared", "studio", "local", "tests"}),
    ],
)
def test_a_program_does_not_import_the_programs_around_it(folder: str, above: set[str]) -> None:
    files = [*(ROOT / folder).rglob("*.py"), *([ROOT / "function_app.py"] if folder == "shared" else [])]
    found = {name for file in files for name in parsed(file).imports}
    # `shared.base` has no word of the domain in it, and needs nothing of `shared`.
    assert {name.split(".")[0] for name in found if not name.startswith("shared.base.")} & above == set()


@pytest.mark.parametrize("folder", ["shared", "service", "studio", "aml", "local", "tests"])
def test_a_file_has_at_most_400_lines_and_a_function_50(folder: str) -> None:
    for file in (each for each in (ROOT / folder).rglob("*.py") if "node_modules" not in each.parts):
        assert len(file.read_text("utf-8").splitlines()) <= 400, file
        assert {name for name, lines in parsed(file).functions.items() if lines > 50} == set(), file
