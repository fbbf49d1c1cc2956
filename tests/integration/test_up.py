"""`run.py up`: what it shows, a changed pipelines file, and how it stops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient
from rich.console import Console

from local import home
from local.azurite import KEY
from local.children import ROOT
from local.datasets import as_csv, breast_cancer, with_a_short_row
from local.up import TriggerLoop
from tests.support.ports import port_of_up
from tests.support.waiting import PATIENCE, until

#: `up`, or another program, with its folder beside the tests'
PROGRAM = """
import runpy, sys
from pathlib import Path
from local import home
home.FOLDER = Path(sys.argv.pop(1))
home.SETTINGS = home.FOLDER / "local.settings.json"
home.FOLDER.mkdir(exist_ok=True)
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@dataclass
class Up:
    folder: Path
    output: Path
    process: subprocess.Popen[bytes]
    storage: str

    def said(self) -> str:
        return self.output.read_text("utf-8", errors="replace")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            program(self.folder, *arguments), cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE
        )

    def says(self, text: str) -> None:
        until(lambda: text in self.said() or self.process.poll() is not None, self.said)
        assert text in self.said()

    def drop(self, path: str, content: bytes) -> None:
        client = BlobServiceClient.from_connection_string(self.storage)
        client.get_blob_client("training-data", path).upload_blob(content, overwrite=True)


def program(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM, str(folder), *arguments]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    port = port_of_up()
    folder, output, pipelines = tmp_path / "relearn", tmp_path / "output", tmp_path / "pipelines.yaml"
    sample = (ROOT / "pipelines.sample.yaml").read_text("utf-8")
    pipelines.write_text(sample.replace("rows: samples", f"rows: {ROOT}/samples"), "utf-8")
    with output.open("wb") as written:
        process = subprocess.Popen(
            program(folder, "local.up", "--port", str(port)),
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "80"},
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    account = "devstoreaccount1"
    storage = (
        f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={KEY};"
        f"BlobEndpoint=http://127.0.0.1:{port}/{account};"
    )
    running = Up(folder, output, process, storage)
    try:
        running.says("Ctrl-C")
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


@pytest.mark.skipif(os.name != "posix", reason="this system has no such signals")
def test_up_shows_each_event_in_words_reads_a_changed_file_and_says_that_it_stops(up: Up, tmp_path: Path) -> None:
    assert "training-data/breast-cancer/*.csv" in up.said()
    header, rows = breast_cancer()
    good = tmp_path / "good.csv"
    good.write_bytes(as_csv(header, rows[:400]))
    dropped = up.run("local.drop", str(good), "breast-cancer/")
    assert dropped.stdout.startswith("dropped at training-data/breast-cancer/good.csv;"), dropped.stderr
    refused = up.run("local.drop", str(good), "breast/good.csv")
    assert (refused.returncode, refused.stderr.splitlines()[0].startswith("drop: 'breast/good.csv' belongs to no")) == (
        1,
        True,
    )
    assert "cannot be read: No such file" in up.run("local.drop", str(tmp_path / "gone.csv"), "breast-cancer/").stderr
    up.drop("breast-cancer/bad.csv", with_a_short_row(header, rows))
    for event in (
        "breast-cancer/good.csv arrived, for pipeline breast-cancer",
        "breast-cancer/bad.csv is set aside",
        "line 6 has 15 values where the header has 31",
        "is training: ",
        "is judging: ",
        "is promoted: ",
    ):
        up.says(event)
    port = json.loads((up.folder / "local.settings.json").read_text("utf-8"))["Values"]["RELEARN_PORT"]
    second = up.run("local.up", "--port", port)
    assert (second.returncode, "runs in this folder already" in second.stdout.replace("\n", " ")) == (1, True)
    assert "Executed 'poll_jobs'" not in up.said()
    assert "Executed 'poll_jobs'" in (up.folder / "triggers.log").read_text()

    a_changed_file_is_taken_over(up, tmp_path, header, rows)
    a_new_pipeline_is_taken_over(up, tmp_path, header, rows)

    listed = up.run("local.addresses")
    assert "training-data/breast-cancer/*.csv" in listed.stdout
    assert "AccountKey" not in listed.stdout
    assert "None of it runs" not in listed.stdout

    up.process.send_signal(signal.SIGINT)
    up.process.wait(PATIENCE)
    assert up.process.returncode == 0
    *before, last = up.said().splitlines()
    assert "stopping: what is being done is finished first" in before
    assert last.startswith("stopped")
    assert "None of it runs now" in up.run("local.addresses").stdout
    assert "start it: python3 run.py up" in up.run("local.drop", str(good), "breast-cancer/").stderr


def a_changed_file_is_taken_over(up: Up, tmp_path: Path, header: list[str], rows: list[list[str]]) -> None:
    pipelines = tmp_path / "pipelines.yaml"
    right = pipelines.read_text("utf-8")
    pipelines.write_text(right.replace("AUC >= 0.95", "Recal >= 0.95"), "utf-8")
    settings = up.folder / "local.settings.json"
    settings.write_text(settings.read_text().replace(str(ROOT / "pipelines.sample.yaml"), str(pipelines)))
    up.says("is not taken over, and what ran goes on:")
    assert "did you mean 'Recall'" in up.said()
    pipelines.write_text(right.replace("  breast-cancer:\n", "  second-name:\n"), "utf-8")
    up.says("is taken over: second-name")
    up.drop("breast-cancer/later.csv", as_csv(header, rows[:500]))
    up.says("breast-cancer/later.csv arrived, for pipeline second-name")


def a_new_pipeline_is_taken_over(up: Up, tmp_path: Path, header: list[str], rows: list[list[str]]) -> None:
    penguins = tmp_path / "penguins.csv"
    penguins.write_bytes(as_csv(header, rows[:300]))
    wrong = up.run("local.new", "penguins", str(penguins), "--label", "diagnosi", "--yes")
    assert (wrong.returncode, "did you mean 'diagnosis'?" in wrong.stderr) == (1, True)
    starts = up.said().count("the triggers are started with it")
    made = up.run("local.new", "penguins", str(penguins), "--label", "diagnosis", "--yes")
    assert made.returncode == 0, made.stderr
    up.says("is taken over: second-name, penguins")
    up.drop("penguins/more.csv", as_csv(header, rows[:400]))
    up.says("penguins/more.csv arrived, for pipeline penguins")
    assert up.said().count("the triggers are started with it") == starts + 1


def test_up_takes_nothing_over_while_a_command_is_between_its_two_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home, "FOLDER", tmp_path)
    monkeypatch.setattr(home, "SETTINGS", tmp_path / "local.settings.json")
    printed = StringIO()
    loop = TriggerLoop(Console(file=printed, width=200), lambda _: None)
    with home.changing():
        home.save_settings({"PIPELINES_FILE": str(tmp_path / "pipelines.yaml")})
        loop.take_over_changes()
        assert printed.getvalue() == ""
    for _ in range(2):
        loop.take_over_changes()
    assert printed.getvalue().count("pipelines.yaml is not taken over") == 1
    home.SETTINGS.write_text('{"Values": {\n// a remark\n}}')
    for _ in range(2):
        loop.take_over_changes()
    assert printed.getvalue().count("local.settings.json is not taken over") == 1
    assert "line 2, column 1: JSON has no remarks" in printed.getvalue()


def test_addresses_before_the_first_start_says_what_to_start(tmp_path: Path) -> None:
    done = subprocess.run(
        program(tmp_path / "new", "local.addresses"), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (3, "run.py: nothing was started here yet: python3 run.py up\n")
