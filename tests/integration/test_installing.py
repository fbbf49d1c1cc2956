"""The installation, by the real uv and pip, of a package that is made here: no network, and nothing large."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from local import setup
from local.children import ROOT
from local.setup.environments import Environment
from local.setup.installers import uv_program
from local.setup.problems import Failed, Missing
from local.setup.staging import FOLDER, alone
from tests.support.waiting import until

FILES = {"tiny_package/__init__.py": b"VERSION = 1\n", "tiny_package/more.py": b"MORE = 2\n"}
START = """
import sys
from pathlib import Path
from local import setup
from local.setup.environments import Environment
root = Path(sys.argv[1])
try:
    setup.prepare(root, Environment(root, ".venv-tiny", "tiny.txt", int(sys.argv[2]), ("tiny_package.more",)))
except setup.Missing as missing:
    sys.exit(f"run.py: {missing}")
"""


@pytest.fixture(scope="session")
def uv() -> Path:
    """The pinned uv, which is in this folder already where `run.py test` runs."""
    try:
        with alone(ROOT):
            return uv_program(ROOT)
    except Failed as failed:
        pytest.skip(f"uv cannot be installed here: {failed.output.strip().splitlines()[-1]}")


@pytest.fixture
def root(tmp_path: Path, uv: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one requirement, whose wheel is in a folder that uv and pip look into instead of an index."""
    root, wheels = tmp_path / "project", tmp_path / "wheels"
    (root / FOLDER).mkdir(parents=True)
    (root / FOLDER / "uv").symlink_to(uv.parent.parent)
    wheel = made_wheel(wheels)
    (root / "tiny.txt").write_text(requirement(wheel))
    for name, value in (
        ("UV_FIND_LINKS", str(wheels)),
        ("UV_OFFLINE", "1"),
        ("UV_NO_INDEX", "1"),
        ("PIP_FIND_LINKS", str(wheels)),
        ("PIP_NO_INDEX", "1"),
        ("UV_CACHE_DIR", str(tmp_path / "cache")),
    ):
        monkeypatch.setenv(name, value)
    return root


@pytest.fixture
def tiny(root: Path) -> Environment:
    return Environment(root, ".venv-tiny", "tiny.txt", 1, ("tiny_package.more",))


def made_wheel(folder: Path) -> Path:
    """Make the wheel of a package as small as one can be."""
    folder.mkdir()
    info = "tiny_package-1.0.dist-info"
    files = {
        **FILES,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-package\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": b"[console_scripts]\ntiny = tiny_package:VERSION.bit_length\n",
    }
    record = "".join(f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in files.items())
    wheel = folder / "tiny_package-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return wheel


def requirement(wheel: Path) -> str:
    return f"tiny-package==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def imports(python: Path) -> str:
    code = "import tiny_package.more; print(tiny_package.more.MORE)"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def test_a_first_start_says_what_it_installs_and_a_second_one_installs_nothing(
    root: Path, tiny: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    setup.prepare(root, tiny)
    assert "installing .venv-tiny: 1 packages, 1 MB (not installed yet)" in said(capsys)
    assert imports(tiny.python) == "2"
    assert [path.name for path in (root / FOLDER).glob("new-*")] == []
    setup.prepare(root, tiny)
    assert said(capsys) == ""


def test_a_changed_requirement_is_installed_and_named(
    root: Path, tiny: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    setup.prepare(root, tiny)
    with (root / "tiny.txt").open("a") as file:
        file.write("# changed\n")
    setup.prepare(root, tiny)
    assert "(tiny.txt changed)" in said(capsys)


def test_another_python_makes_the_environment_again_and_says_so(
    root: Path, tiny: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version", "3.10.1 (an earlier one)")
    setup.prepare(root, tiny)
    monkeypatch.undo()
    assert tiny.lack() == f"Python changed from 3.10.1 to {sys.version.split()[0]}"


@pytest.mark.parametrize("gone", ["more.py", "python", "stamp", "packages"])
def test_a_broken_environment_heals_itself(root: Path, tiny: Environment, gone: str) -> None:
    setup.prepare(root, tiny)
    [package] = tiny.folder.rglob("tiny_package")
    match gone:
        case "more.py":
            (package / "more.py").unlink()
        case "python":
            tiny.python.unlink()
        case "stamp":
            (tiny.folder / ".stamp").write_text("half of a")
        case "packages":
            for path in package.parent.rglob("*"):
                if path.is_file():
                    path.unlink()
    assert tiny.lack()
    setup.prepare(root, tiny)
    assert imports(tiny.python) == "2"


def test_pip_installs_where_uv_cannot(
    root: Path, tiny: Environment, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """uv refuses an unknown configuration; pip does not read it."""
    broken = root / "uv.toml"
    broken.write_text("this is not toml")
    monkeypatch.setenv("UV_CONFIG_FILE", str(broken))
    setup.prepare(root, tiny)
    assert "uv could not install tiny.txt; pip is tried" in said(capsys)
    assert (tiny.folder / "pyvenv.cfg").read_text().count("uv =") == 0
    assert imports(tiny.python) == "2"
    [script] = tiny.python.parent.glob("tiny*")
    assert str(tiny.python) in script.read_text().splitlines()[0]


@pytest.mark.parametrize("broken_uv", [False, True])
def test_a_file_that_is_not_the_pinned_one_is_refused(
    root: Path, tiny: Environment, broken_uv: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "tiny.txt").write_text(f"tiny-package==1.0 --hash=sha256:{'0' * 64}\n")
    if broken_uv:
        monkeypatch.setenv("UV_CONFIG_FILE", str(root / "tiny.txt"))
    with pytest.raises(Missing, match="its hash differs"):
        setup.prepare(root, tiny)
    assert not tiny.folder.exists()


def test_an_installation_that_does_not_work_is_not_put_in_place(root: Path) -> None:
    other = Environment(root, ".venv-tiny", "tiny.txt", 1, ("tiny_package.nowhere",))
    with pytest.raises(Missing, match=r"does not work: ModuleNotFoundError: .*nowhere"):
        setup.prepare(root, other)
    assert not other.folder.exists()


def start(root: Path, megabytes: int = 1) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", START, str(root), str(megabytes)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def test_two_first_starts_side_by_side_install_once(root: Path, tiny: Environment) -> None:
    with alone(root):
        starts = [start(root) for _ in range(2)]
        for each in starts:
            assert each.stderr is not None
            assert each.stderr.readline() == "run.py: another start is installing; waiting\n"
    shown = [each.communicate()[1] for each in starts]
    assert [each.returncode for each in starts] == [0, 0]
    assert sorted("installing .venv-tiny" in each for each in shown) == [False, True]
    assert imports(tiny.python) == "2"


def test_a_killed_start_leaves_nothing_that_a_later_one_trips_over(root: Path, tiny: Environment) -> None:
    uv_waits = root / "uv"
    (root / FOLDER / "uv").unlink()
    (root / FOLDER / "uv" / "bin").mkdir(parents=True)
    waiting = root / FOLDER / "uv" / "bin" / "uv"
    waiting.write_text(f'#!/bin/sh\nmkdir -p "$8"; touch {uv_waits}; exec sleep 600\n')
    waiting.chmod(0o755)
    pins = ROOT / "local" / "setup" / "uv.txt"
    (root / FOLDER / "uv" / "uv.txt").write_bytes(pins.read_bytes())
    killed = start(root)
    until(uv_waits.exists, "uv runs")
    killed.kill()
    killed.communicate()
    assert not tiny.folder.exists()
    assert list((root / FOLDER).glob("new-*"))
    waiting.write_text(f'#!/bin/sh\nexec {uv_program(ROOT)} "$@"\n')
    setup.prepare(root, tiny)
    assert imports(tiny.python) == "2"
    assert not list((root / FOLDER).glob("new-*"))


def test_too_little_space_is_reported_before_anything_is_installed(root: Path, tiny: Environment) -> None:
    huge = start(root, 10**9)
    _, shown = huge.communicate()
    assert huge.returncode == 1
    assert f"is full: {10**9} MB are needed and " in shown
    assert not tiny.folder.exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can mount a small disk")
@pytest.mark.parametrize("how", ["full", "read-only"])
def test_a_full_or_read_only_disk_is_reported_as_such(root: Path, uv: Path, how: str) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(root)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        (root / FOLDER).mkdir()
        (root / FOLDER / "uv").symlink_to(uv.parent.parent)
        wheels = Path(os.environ["UV_FIND_LINKS"])
        (root / "tiny.txt").write_text(requirement(next(wheels.glob("*.whl"))))
        if how == "full":  # some room for the first files, and none for the rest
            (root / "filler").write_bytes(bytes(shutil.disk_usage(root).free - 20_000))
        else:
            subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
        refused = start(root, 0)
        _, shown = refused.communicate()
        assert refused.returncode == 1
        assert ("is full" if how == "full" else f"{root} cannot be written") in shown.splitlines()[-1]
    finally:
        subprocess.run(["umount", str(root)], check=True)
