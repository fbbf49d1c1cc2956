"""The files that `import-adf` reads and writes: folders, templates, `--into`, and those that it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from local.children import ROOT
from shared.adf.translation import blob_pattern, duration
from tests.support.data_factory import (
    Import,
    pipeline,
    service,
    v2,
)


@pytest.fixture
def imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Import:
    return Import(tmp_path, capsys)


def test_into_adds_the_entry_and_leaves_every_line_and_comment(imported: Import, tmp_path: Path) -> None:
    into = tmp_path / "pipelines.yaml"
    sample = (ROOT / "pipelines.sample.yaml").read_text("utf-8")
    into.write_text(sample.rstrip("\n"), "utf-8")

    outcome = imported.of(v2(), into)

    text = into.read_text("utf-8")
    assert outcome.out == ""
    assert text.startswith(sample)
    assert list(yaml.safe_load(text)["pipelines"]) == ["breast-cancer", "income"]


def test_into_makes_a_missing_file(imported: Import, tmp_path: Path) -> None:
    imported.of(v2(), tmp_path / "new.yaml")
    assert list(yaml.safe_load((tmp_path / "new.yaml").read_text("utf-8"))["pipelines"]) == ["income"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("pipelines:\n  income: {}\n", "pipelines.yaml: pipelines.income is there already and is never overwritten"),
        ("pipelines: {other: {}}\n", "pipelines.yaml: its form allows no entry at its end"),
        ("pipelines:\n  other: {}\n...\n", "pipelines.yaml: its form allows no entry at its end"),
        ("other: 1\n", "pipelines.yaml has no 'pipelines' with entries"),
        ("pipelines:\n  a: {key: PASSWORD1\n", "pipelines.yaml is not YAML: line 3"),
    ],
)
def test_into_refuses_and_changes_nothing(imported: Import, tmp_path: Path, content: str, said: str) -> None:
    into = tmp_path / "pipelines.yaml"
    into.write_text(content, "utf-8")

    outcome = imported.of(v2(), into)

    assert outcome.code == 2
    assert outcome.said.startswith(said)
    assert into.read_text("utf-8") == content


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"name": "p",\n "properties": {,}}', "x.json is not JSON: line 2, column 17: "),
        ("[1]", "x.json is not a Data Factory artefact: a JSON object was expected"),
        ('{"dependencies": {}}', "x.json is not a Data Factory artefact: a pipeline, linked service or data set"),
        ('{"resources": []}', "x.json is not a Data Factory artefact"),
        ('{"name": "p", "properties": {"activities": {}}}', "x.json: pipeline 'p': activities must be a list"),
        ('{"name": "p", "properties": {"activities": [7]}}', "x.json: pipeline 'p': activities[0] is not an activity"),
        (
            '{"name": "p", "properties": {"activities": [{"name": "a", "type": "AzureMLBatchExecution",'
            ' "typeProperties": {"webServiceOutputs": "output1"}}]}}',
            "x.json: activity 'a': webServiceOutputs must be an object",
        ),
        ("[" * 100_000, "x.json is not JSON that can be read: it is nested too deep"),
    ],
)
def test_a_file_that_cannot_be_read_gives_one_line_and_exit_code_2(imported: Import, content: str, said: str) -> None:
    outcome = imported.of({**v2(), "x.json": content})

    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.said.startswith(said)
    assert outcome.said.count("\n") == 1


def test_a_missing_file_is_named(imported: Import, tmp_path: Path) -> None:
    outcome = imported.paths([tmp_path / "nowhere.json"])
    assert (outcome.code, outcome.said.count("\n")) == (2, 1)
    assert "nowhere.json cannot be read" in outcome.said


def test_files_without_a_training_give_exit_code_2_and_the_reason(imported: Import) -> None:
    outcome = imported.of({"p.json": pipeline("other", {"name": "copy", "type": "Copy"})})
    assert outcome.code == 2
    assert "p.json: pipeline 'other': trains nothing; its activities: Copy" in outcome.said


def test_a_folder_is_read_whole_and_other_files_in_it_are_reported(imported: Import, tmp_path: Path) -> None:
    imported.of({**v2(), "package.json": '{"dependencies": {}}'})

    outcome = imported.paths([tmp_path])

    assert list(outcome.entries) == ["income"]
    assert "package.json: is not a Data Factory artefact" in outcome.said


def test_the_same_artefact_twice_is_one_and_another_under_its_name_is_refused(imported: Import) -> None:
    files = v2()
    assert imported.of({**files, "copy.json": files["training.json"]}).code == 0
    outcome = imported.of({**files, "copy.json": service("TrainingEndpoint", mlEndpoint="https://h/other/jobs")})
    assert outcome.code == 2
    assert outcome.said.startswith("copy.json: linked service 'TrainingEndpoint' is another one in training.json")


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("c/folder/a.csv", ("c", "folder/a.csv")),
        ("/c/folder", ("c", "folder/*")),
        ("c/", ("c", "*")),
        ("c/{year}/{month}{day}.csv", ("c", "*/*.csv")),
        ("c/@{pipeline().parameters.month}.csv", ("c", "*.csv")),
        ("{container}/a.csv", None),
        ("", None),
    ],
)
def test_a_path_becomes_a_pattern_within_its_container(path: str, pattern: tuple[str, str] | None) -> None:
    assert blob_pattern(path) == pattern


@pytest.mark.parametrize(
    ("span", "written"),
    [
        ("02:00:00", "2h"),
        ("1.12:00:00", "36h"),
        ("7.00:00:00", "7d"),
        ("00:01:30", "90s"),
        ("00:00:00", None),
        ("2h", None),
    ],
)
def test_a_time_span_is_written_in_its_largest_whole_unit(span: str, written: str | None) -> None:
    assert duration(span) == written


def test_the_command_writes_yaml_to_stdout_and_the_report_to_stderr(tmp_path: Path) -> None:
    for name, content in v2().items():
        (tmp_path / name).write_text(json.dumps(content), "utf-8")

    command = [sys.executable, "-m", "shared", "import-adf", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert list(yaml.safe_load(done.stdout)["pipelines"]) == ["income"]
    assert done.stderr.startswith("stdout: pipelines.income\n")


def test_the_functions_app_does_not_load_the_import() -> None:
    code = "import sys, function_app; print([name for name in sys.modules if name.startswith('shared.adf')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
