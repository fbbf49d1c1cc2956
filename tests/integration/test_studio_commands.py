"""`python -m studio` as a user runs it, beside a server that runs over the same folder."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import requests

from local.azurite import Azurite
from local.children import ROOT, stop
from local.datasets import as_csv, breast_cancer, with_a_short_row
from local.studio import RunningStudio, running_studio
from studio.__main__ import main
from tests.support.waiting import PATIENCE

HEADER, ROWS = breast_cancer()


@dataclass(frozen=True)
class Terminal:
    """Where a user types commands: the Studio's folder is a setting there, and so is its storage."""

    folder: Path
    studio: RunningStudio
    storage: str = field(repr=False)

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run the command in this process, which has the libraries loaded."""
        out, err = StringIO(), StringIO()
        with pytest.MonkeyPatch.context() as patched, redirect_stdout(out), redirect_stderr(err):
            patched.chdir(ROOT)
            patched.setattr(sys, "argv", ["studio", *arguments])
            for name, value in {**self._places, **settings}.items():
                patched.setenv(name, value)
            try:
                code = main()
            except SystemExit as ended:  # of the parser of arguments
                code = int(ended.code or 0)
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())

    def program(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command as a program."""
        return subprocess.run(
            [sys.executable, "-m", "studio", *arguments],
            cwd=ROOT,
            env={**os.environ, **self._places},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    @property
    def _places(self) -> dict[str, str]:
        return {"STUDIO_DATA": str(self.folder / "studio"), "STUDIO_STORAGE": self.storage}

    def read(self, *arguments: str) -> Any:
        """Return what a command prints for machines."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refused(self, *arguments: str, **settings: str) -> tuple[int, str]:
        """Return the exit code and the one line of a command that must fail."""
        done = self.run(*arguments, **settings)
        assert done.returncode and not done.stdout
        [line] = done.stderr.splitlines()
        return done.returncode, line


@pytest.fixture(scope="module")
def terminal(azurite_of_file: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    folder = tmp_path_factory.mktemp("commands")
    (folder / "data.csv").write_bytes(as_csv(HEADER, ROWS[:200]))
    storage = azurite_of_file.connection_string
    with running_studio(folder / "studio", storage, "--control") as studio:
        yield Terminal(folder, studio, storage)


@pytest.fixture(scope="module")
def published(terminal: Terminal) -> dict[str, dict[str, Any]]:
    """What `publish` printed, by the kind of service."""
    done = terminal.program("publish", "breast-cancer", str(terminal.folder / "data.csv"), "--json")
    assert done.returncode == 0, done.stderr
    return {each["kind"]: each for each in json.loads(done.stdout)["services"]}


def scored(address: str, key: str) -> requests.Response:
    body = {"Inputs": {"input1": {"ColumnNames": HEADER, "Values": ROWS[:3]}}}
    headers = {"Authorization": f"Bearer {key}"}
    return requests.post(
        f"{address}/execute", params={"api-version": "2.0"}, json=body, headers=headers, timeout=PATIENCE
    )


def key_of(terminal: Terminal, endpoint: str) -> str:
    return str(terminal.read("keys", endpoint, "--json")["primary"])


def test_what_publish_deploys_answers_under_the_addresses_it_printed(
    terminal: Terminal, published: dict[str, dict[str, Any]]
) -> None:
    assert set(published) == {"New", "Classic", "training"}
    for kind, endpoint in (("New", "breastcancer"), ("Classic", "retrained")):
        assert published[kind]["models"] == ["Breast cancer [trained model]"]
        assert scored(published[kind]["address"], key_of(terminal, endpoint)).status_code == 200
    refused = scored(published["training"]["address"], key_of(terminal, "Breast cancer/default"))
    assert refused.json()["error"]["details"][0]["code"] == "WebServiceTypeInvalid"


def test_run_prints_the_evaluation_that_publishing_would_have_and_publishes_nothing(terminal: Terminal) -> None:
    table = str(terminal.folder / "data.csv")
    before = _addresses(terminal)
    [evaluation] = terminal.read("run", "studio/experiments/breast-cancer.yaml", table, "--json")["evaluations"]
    assert evaluation["resource"] == "Breast cancer [trained model]"
    assert evaluation["metrics"]["AUC"] > 0.95
    shown = terminal.run("run", "breast-cancer", table).stdout
    assert f"{evaluation['metrics']['AUC']:.6f}" in shown
    assert _addresses(terminal) == before


def test_endpoints_are_added_listed_and_deleted(terminal: Terminal, published: dict[str, dict[str, Any]]) -> None:
    service = "Breast cancer [Predictive Exp.]"
    added = terminal.read("endpoints", "add", service, "--count", "10", "--prefix", "customer", "--json")
    assert [each["endpoint"] for each in added] == [f"customer{number}" for number in range(1, 11)]
    assert scored(added[9]["address"], key_of(terminal, "customer10")).status_code == 200

    assert terminal.run("endpoints", "delete", service, "customer1", "customer2").returncode == 0

    listed = terminal.run("list").stdout
    assert published["Classic"]["address"] in listed
    assert "customer3" in listed
    assert not any(line.split()[-1:] == ["customer1"] or " customer1 " in line for line in listed.splitlines())
    refilled = terminal.read("endpoints", "add", service, "--count", "2", "--prefix", "customer", "--json")
    assert [each["endpoint"] for each in refilled] == ["customer1", "customer2"]
    assert terminal.refused("endpoints", "delete", service, "default") == (
        1,
        "studio: The default endpoint cannot be deleted while others exist.",
    )


def test_a_regenerated_key_takes_the_place_of_the_former_one(
    terminal: Terminal, published: dict[str, dict[str, Any]]
) -> None:
    before = terminal.read("keys", "breastcancer", "--json")
    after = terminal.read("keys", "breastcancer", "--regenerate", "secondary", "--json")
    assert after["primary"] == before["primary"]
    address = published["New"]["address"]
    assert [scored(address, each["secondary"]).status_code for each in (before, after)] == [401, 200]


def test_an_exported_definition_has_no_key_and_is_imported_under_another_name(
    terminal: Terminal, published: dict[str, dict[str, Any]]
) -> None:
    exported = terminal.run("export", "breastcancer").stdout
    account_key = dict(part.split("=", 1) for part in terminal.storage.split(";") if part)["AccountKey"]
    assert not any(key in exported for key in (*terminal.read("keys", "breastcancer", "--json").values(), account_key))
    file = terminal.folder / "service.json"
    file.write_text(exported)

    done = terminal.run("import", str(file), "--name", "twin")

    assert done.returncode == 0, done.stderr
    [twin] = [each for each in terminal.read("list", "--json") if each["endpoint"] == "twin"]
    answers = [
        scored(address, key_of(terminal, name)).json()["Results"]
        for address, name in ((published["New"]["address"], "breastcancer"), (twin["address"], "twin"))
    ]
    assert answers[0] == answers[1]


@pytest.mark.usefixtures("published")
def test_an_import_that_is_accepted_and_fails_later_is_reported_as_failed(terminal: Terminal) -> None:
    definition = json.loads(terminal.run("export", "breastcancer").stdout)
    for asset in definition["properties"]["assets"].values():
        if asset["type"] == "Resource":
            asset["locationInfo"]["uri"] += "x.ilearner"
    file = terminal.folder / "wrong.json"
    file.write_text(json.dumps(definition))
    code, said = terminal.refused("import", str(file))
    assert code == 1
    assert "BlobNotFound" in said


def test_a_fault_on_order_strikes_as_often_as_was_said_and_is_lifted(
    terminal: Terminal, published: dict[str, dict[str, Any]]
) -> None:
    assert "lost answer" in terminal.run("fault", "kinds").stdout
    address, key = published["Classic"]["address"], key_of(terminal, "retrained")
    terminal.read("fault", "add", "throttled", "--endpoint", "retrained", "--count", "2", "--json")
    assert [scored(address, key).status_code for _ in range(3)] == [429, 429, 200]
    [order] = terminal.read("fault", "list", "--json")
    assert (order["kind"], order["struck"]) == ("throttled", 2)
    terminal.read("fault", "add", "lost-answer", "--operation", "bes.create", "--json")
    assert terminal.read("fault", "lift", order["id"], "--json") == {"lifted": 1}
    assert terminal.read("fault", "lift", "--json") == {"lifted": 1}
    listed = terminal.run("fault", "list")
    assert (listed.returncode, listed.stdout, listed.stderr) == (0, "", "no fault is ordered\n")
    code, said = terminal.refused("fault", "add", "earthquake")
    assert code == 1
    assert "'earthquake'; it can be: lost answer, reset" in said


def test_only_its_owner_can_read_where_the_server_listens_until_it_stops(terminal: Terminal) -> None:
    folder = terminal.folder / "other"
    with running_studio(folder, terminal.storage, "--control") as studio:
        file = folder / "running.json"
        assert json.loads(file.read_text()) == {"address": studio.address, "control": studio.control}
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        stop(studio.child.process)
        assert not file.exists()


def test_input_that_is_wrong_or_missing_gives_one_line_that_says_what_to_do(terminal: Terminal) -> None:
    table, folder = str(terminal.folder / "data.csv"), terminal.folder
    short = folder / "short.csv"
    short.write_bytes(with_a_short_row(HEADER, ROWS))
    for arguments, settings, code, said in (
        (
            ("run", "cancer", table),
            {},
            2,
            "The experiment 'cancer' does not exist; give a .yaml file, or one of: breast-c",
        ),
        (("run", "breast-cancer", "none.csv"), {}, 2, "the table none.csv cannot be read: No such file"),
        (("run", "breast-cancer", str(short)), {}, 1, "All rows must have same number of elements"),
        (("run", "wine", table), {}, 1, 'columns were not found: "cultivar"'),
        (("list", "--data", str(folder / "none")), {}, 2, "does not hold a Studio"),
        (("serve",), {"STUDIO_STORAGE": "nonsense"}, 2, "STUDIO_STORAGE is not a storage connection string"),
        (("keys", "nobody"), {}, 2, "the endpoint 'nobody' does not exist"),
        (("endpoints", "add", "nobody", "a"), {}, 2, "the Classic web service 'nobody' does not exist"),
        (("endpoints", "add", "nobody"), {}, 2, "give either names or --count"),
        (("export", "nobody"), {}, 2, "the New web service 'nobody' does not exist"),
        (("fault", "list", "--data", str(folder)), {}, 2, "no running server over"),
    ):
        given, line = terminal.refused(*arguments, **settings)
        assert (given, said in line) == (code, True), line
    done = terminal.program("keys", "nobody")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def _addresses(terminal: Terminal) -> list[str]:
    return [each["address"] for each in terminal.read("list", "--json")]
