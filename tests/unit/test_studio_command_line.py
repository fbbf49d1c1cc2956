"""The Studio's commands: names that a person knows, output that nobody reads to its end, folders of one's own."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from local.children import ROOT
from service.commands import Stopped
from service.keys import new_id
from service.output import print_table
from service.private import make_private
from studio.cli.services import find_endpoint
from studio.experiments.loading import load_experiment
from studio.publishing import GROUP, Studio, new_endpoint
from studio.state.records import Endpoint, Service, WebService, now
from tests.support.studio_context import handlers
from tests.support.terminal import screen


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """A Studio with what `run.py up` publishes: a training service, a Classic one with `retrained`, and a New one."""
    studio = Studio(tmp_path)
    training = Service(id=new_id(), parent=studio.identity.workspace, name="Breast cancer", created=now())
    classic = Service(
        id=new_id(), parent=studio.identity.workspace, name="Breast cancer [Predictive Exp.]", created=now()
    )
    arm = f"/subscriptions/{studio.identity.subscription}/resourceGroups/{GROUP}/providers/x/webServices/breastcancer"
    new = new_endpoint(arm.lower(), "breastcancer")
    studio.records.put(
        training,
        classic,
        new_endpoint(training.id, "default", training=load_experiment("breast-cancer")),
        new_endpoint(classic.id, "default"),
        new_endpoint(classic.id, "retrained"),
        new,
        WebService(id=arm.lower(), name="breastcancer", endpoint=new.id, definition={"id": arm}),
    )
    return studio


def found(studio: Studio, name: str) -> tuple[str, str]:
    """Return the kind of the service and the endpoint's name."""
    endpoint = find_endpoint(studio, name)
    kind = "New" if endpoint.parent.startswith("/") else "training" if endpoint.training else "Classic"
    return kind, endpoint.name


@pytest.mark.parametrize(
    ("name", "kind", "endpoint"),
    [
        ("retrained", "Classic", "retrained"),
        ("breastcancer", "New", "breastcancer"),
        ("Breast cancer [Predictive Exp.]", "Classic", "retrained"),
        ("Breast cancer [Predictive Exp.]/default", "Classic", "default"),
        ("Breast cancer/default", "training", "default"),
        ("breast-cancer training", "training", "default"),
        ("BREAST_CANCER_TRAINING", "training", "default"),
        ("breast cancer classic", "Classic", "retrained"),
        ("BREAST_CANCER_NEW", "New", "breastcancer"),
        ("breast cancer retrained", "Classic", "retrained"),
    ],
)
def test_an_endpoint_is_found_by_the_names_that_a_person_knows(
    studio: Studio, name: str, kind: str, endpoint: str
) -> None:
    assert found(studio, name) == (kind, endpoint)


def test_a_name_of_several_is_refused_with_how_to_call_each(studio: Studio) -> None:
    with pytest.raises(Stopped) as error:
        find_endpoint(studio, "default")
    assert str(error.value) == (
        "2 endpoints are called 'default'; give one of: 'Breast cancer/default', "
        "'Breast cancer [Predictive Exp.]/default'"
    )
    with pytest.raises(Stopped, match=r"the endpoint 'wine' does not exist; there are: 'Breast cancer/default', "):
        find_endpoint(studio, "wine")


def test_services_of_the_same_name_are_distinguished_by_id(studio: Studio) -> None:
    again = Service(id=new_id(), parent=studio.identity.workspace, name="Breast cancer", created=now())
    endpoint = new_endpoint(again.id, "default")
    studio.records.put(again, endpoint)
    with pytest.raises(Stopped, match=f"give one of: .*'{endpoint.id}'"):
        find_endpoint(studio, "Breast cancer/default")
    assert find_endpoint(studio, endpoint.id) == studio.records.get(Endpoint, endpoint.id)


def test_a_reader_who_has_read_enough_ends_the_command_without_a_traceback(tmp_path: Path) -> None:
    studio = handlers(tmp_path).context.studio
    [service, *_] = studio.records.all(Service)
    studio.records.put(*(new_endpoint(service.id, f"e{number}") for number in range(3000)))
    command = subprocess.Popen(
        [sys.executable, "-m", "studio", "list", "--json", "--data", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "STUDIO_STORAGE": studio.storage},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert command.stdout and command.stderr
    command.stdout.readline()
    command.stdout.close()
    assert command.stderr.read() == b""
    command.stderr.close()
    assert command.wait(60) == 141


def test_a_table_does_not_hide_that_its_reader_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        with pytest.raises(BrokenPipeError):
            print_table(["name"], [["x" * 100]] * 1000)
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)  # what is left in the buffer goes nowhere


def mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a user's folders apart by their place")
def test_the_studios_folder_is_its_owners_alone_also_when_it_was_open_before(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder, old = tmp_path / "new" / "studio", tmp_path / "old"
        (old / "models").mkdir(parents=True)
        for each in (folder, old):
            studio = Studio(each)
            assert studio.models
            assert (mode(each), mode(each / "models")) == (0o700, 0o700)
            assert stat.S_IMODE((each / "studio.sqlite").stat().st_mode) == 0o600
    finally:
        os.umask(before)


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a user's folders apart by their place")
def test_a_folder_is_closed_and_what_is_in_it_stays(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    (folder / "file").write_text("x")
    make_private(folder)
    assert (mode(folder), (folder / "file").read_text()) == (0o700, "x")


@pytest.mark.parametrize("columns", [80, 120])
def test_a_table_on_a_terminal_keeps_names_whole_and_loses_no_sign(columns: int) -> None:
    name, text = "income-20261126T060000-3f2a91c0de", "z" * 200
    program = (
        "from service.output import print_table; "
        f"print_table(['name', 'what'], [[{name!r}, {text!r}], ['a' * 20, '\\x1b[2J[bold]']]); "
        f"print_table(['error'], [[{text!r}]]); print_table(['long', 'b'], [[{text!r}, 'c']])"
    )
    lines = screen(columns, "-c", program)
    assert max(map(len, lines)) <= columns
    assert sum(line.count("z") for line in lines) == 3 * len(text)
    assert any(line.startswith(name) for line in lines)
    assert any("\\x1b[2J[bold]" in line for line in lines)


def test_a_long_address_has_its_own_line_on_a_narrow_terminal() -> None:
    address = f"http://127.0.0.1:10010/workspaces/{'8' * 32}/services/{'3' * 32}"
    row = [
        "Classic",
        "Breast cancer [Predictive Exp.]",
        "retrained",
        address,
        "Breast cancer [trained model] 74b9a38982bc",
    ]
    titles = ["kind", "service", "endpoint", "address", "models"]
    program = f"from service.output import print_table; print_table({titles}, [{row}] * 2, below='address')"
    lines = screen(len(address) + 2, "-c", program)
    assert lines.count(f"  {address}") == 2
    assert sum("Classic" in line and "retrained" in line for line in lines) == 2
    assert "address" not in lines[0]
