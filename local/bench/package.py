"""The deployed package, built as the platform builds it, for each Python that is here: its size, and that it works."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from local import deployed
from local.bench.rows import Row
from local.children import ROOT
from local.setup import installers
from local.setup.pythons import pythons

PYTHONS = ((3, 11), (3, 12), (3, 13))
#: what the host does first, and what `check` does: index the functions, read the pipelines file with the settings
_TRY = """
import function_app, json
from pathlib import Path
from shared.base.settings import Settings
from shared.configuration.loading import load_pipelines
settings = Settings()
names = [function.get_function_name() for function in function_app.app.get_functions()]
print(json.dumps([names, list(load_pipelines(settings.pipelines_file, settings).alone)]))
"""


def measure(folder: Path) -> Iterator[Row]:
    app = folder / "app"
    deployed.stage(ROOT, app)
    files = [path for path in app.rglob("*") if path.is_file()]
    yield "the app as deployed", f"{sum(map(_size, files)) / 1024:.0f} KiB in {len(files)} files", "", ""
    for version in PYTHONS:
        name = f"its package for Python {'.'.join(map(str, version))}"
        python = next(pythons(version), None)
        if python is None:
            yield name, "not built: this Python is not here", "", ""
        else:
            yield name, *_built(folder / f"venv-{version[1]}", python, app)


def _built(environment: Path, base: Path, app: Path) -> tuple[str, str, str]:
    made = installers.make(ROOT, base, environment, app / "requirements.txt", lambda *_: None)
    places = [*environment.glob("lib/python*/site-packages"), *environment.glob("Lib/site-packages")]
    packages = [found for place in places for found in place.glob("*.dist-info")]
    size = sum(_size(path) for place in places for path in place.rglob("*") if path.is_file())
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "SYSTEMROOT", "TMPDIR")}
    settings = {**deployed.settings(ROOT), **deployed.sample_settings(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([str(made), "-c", _TRY], cwd=app, env={**kept, **settings}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the deployed package does not work with {base}: {done.stderr.strip().splitlines()[-1]}")
    functions, pipelines = json.loads(done.stdout)
    works = f"{len(functions)} functions, pipelines {', '.join(pipelines)}"
    return f"{size / (1 << 20):.0f} MiB in {len(packages)} packages", works, ""


def _size(path: Path) -> int:
    return path.stat().st_size
