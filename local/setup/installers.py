"""Makes an environment from a file of pinned requirements: with uv, which pip installs, and where it fails with pip."""

from __future__ import annotations

import os
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from local.setup.problems import Failed, Missing
from local.setup.programs import run
from local.setup.progress import say
from local.setup.staging import FOLDER

UV = Path(__file__).with_name("uv.txt")
#: What the files pin and nothing else: they name all that is needed, and no code of a package runs.
EXACTLY = ("--require-hashes", "--no-deps", "--only-binary", ":all:")
#: What a person's own configuration of pip may say, and what would keep it from installing into a folder.
_PIP = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_USER": "0"}
#: uv does not read pip's configuration, where a company's own index or proxy often stands.
_FROM_PIP = {"index-url": "UV_DEFAULT_INDEX", "proxy": "HTTPS_PROXY", "cert": "SSL_CERT_FILE"}
_UV_LOCK = threading.Lock()

Heard = Callable[[int, str], None]  #: how many packages are there, and the newest one's name


def base_python() -> Path:
    """Return the Python that runs this, or the one that its environment was made from."""
    return Path(getattr(sys, "_base_executable", None) or sys.executable)


def make(root: Path, base: Path, folder: Path, requirements: Path, heard: Heard) -> Path:
    """Return the Python of a new environment in the folder. Raises `Failed` if neither uv nor pip can make it."""
    try:
        uv = uv_program(root)
        _with_uv(uv, root, base, folder, requirements, heard)
    except Failed as failed:
        if failed.final or failed.no_network:
            raise
        say(f"uv could not install {requirements.name}; pip is tried, which takes longer")
        shutil.rmtree(folder, ignore_errors=True)
        _with_pip(base, folder, requirements, heard)
    return python_of(folder)


def python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def uv_program(root: Path) -> Path:
    """Return uv, which is installed from its pinned file by pip if it is not there."""
    place = root / FOLDER / "uv"
    program = place / "bin" / ("uv.exe" if os.name == "nt" else "uv")
    pinned = place / UV.name
    with _UV_LOCK:
        if not (program.exists() and pinned.exists() and pinned.read_bytes() == UV.read_bytes()):
            shutil.rmtree(place, ignore_errors=True)
            new = root / FOLDER / f"new-{os.getpid()}" / "uv"
            new.parent.mkdir(parents=True, exist_ok=True)
            run([*_pip(root), "install", "--quiet", "--target", str(new), *EXACTLY, "-r", str(UV)], _PIP)
            shutil.copyfile(UV, new / UV.name)
            new.rename(place)
    return program


def _pip(root: Path) -> list[str]:
    """Return the command of a pip: this Python's, or an environment's that is made for it."""
    from importlib.util import find_spec

    if find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    folder = root / FOLDER / f"new-{os.getpid()}" / "pip"
    _venv(base_python(), folder)
    return [str(python_of(folder)), "-m", "pip"]


def _venv(base: Path, folder: Path) -> None:
    try:
        run([str(base), "-m", "venv", str(folder)])
    except Failed as failed:
        if re.search("No module named|ensurepip", failed.output):
            advice = "install one of them (Debian: apt install python3-venv)"
            raise Missing(f"{base} has neither pip nor a working venv module; {advice}") from None
        raise


def _with_uv(uv: Path, root: Path, base: Path, folder: Path, requirements: Path, heard: Heard) -> None:
    cache = Path(os.environ.get("UV_CACHE_DIR") or root / FOLDER / "uv-cache")
    settings = {**_settings_from_pip(), "UV_CACHE_DIR": str(cache), "UV_PYTHON_DOWNLOADS": "never"}
    settings |= {"UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
    run([str(uv), "venv", "--quiet", "--relocatable", "--python", str(base), str(folder)], settings)
    command = [str(uv), "pip", "install", "--python", str(python_of(folder)), *EXACTLY, "-r", str(requirements)]
    with _watched(cache, names(requirements), heard):
        run(command, settings)


def _settings_from_pip() -> dict[str, str]:
    """Return pip's own index, proxy and certificate for uv, where uv was not given its own."""
    try:
        output = run([sys.executable, "-m", "pip", "config", "list"], _PIP)
    except Failed:
        return {}
    found = dict(re.findall(r"^[\w:.]*?\.?([\w-]+)='(.*)'$", output, re.MULTILINE))
    return {
        setting: found[name] for name, setting in _FROM_PIP.items() if name in found and not os.environ.get(setting)
    }


@contextmanager
def _watched(cache: Path, wanted: set[str], heard: Heard) -> Iterator[None]:
    """Return which of the wanted packages uv has unpacked in its cache: it prints the names of large ones only."""
    ended = threading.Event()

    def look() -> None:
        there: list[str] = []
        while not ended.wait(0.2):
            found = {path.name.split("-")[0].lower() for path in cache.glob("archive-*/*/*.dist-info")}
            if new := sorted((found & wanted) - set(there)):
                there += new
                heard(len(there), there[-1].replace("_", "-"))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def names(requirements: Path) -> set[str]:
    """Return the names of a requirements file as wheels write them."""
    found = re.findall(r"^([\w.-]+)==", requirements.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[-_.]+", "_", name).lower() for name in found}


def _with_pip(base: Path, folder: Path, requirements: Path, heard: Heard) -> None:
    _venv(base, folder)
    seen: list[str] = []

    def hear(line: str) -> None:
        if found := re.match(r"Collecting ([\w.-]+)", line):
            seen.append(found[1])
            heard(len(seen), found[1])

    command = [str(python_of(folder)), "-m", "pip", "install", "--progress-bar", "off", *EXACTLY, "-r"]
    run([*command, str(requirements)], _PIP, hear)


def move_scripts(folder: Path, former: Path) -> None:
    """Have the scripts of an environment that pip made name the folder that it was moved to."""
    for script in python_of(folder).parent.iterdir():
        if script.is_file() and not script.is_symlink():
            content = script.read_bytes()
            if os.fsencode(former) in content and b"\0" not in content:
                script.write_bytes(content.replace(os.fsencode(former), os.fsencode(folder)))
