"""`doctor --record`: the shapes of calls, and nothing of what the user has in them."""

from __future__ import annotations

import io
import json
import random
import string
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from shared.__main__ import main
from shared.cli.doctor.recording import MEMBERS, OTHER, Recorder, merged, path, query, shape
from shared.cli.doctor.services import look
from shared.cli.place import USAGE
from tests.support.aml import Here
from tests.unit.test_doctor_azureml import NAME, app_of, here, serve

__all__ = ["here"]
MARK = "M4RK"
NUMBER = 7315


def test_a_shape_has_the_documents_names_and_types_in_place_of_values() -> None:
    answered = {
        "id": "/subscriptions/s/resourceGroups/g",
        "properties": {"traffic": {"blue": 90, "green": 10}, "provisioningState": "Succeeded", "mirrorTraffic": {}},
        "systemData": {"createdAt": "2026-11-01T02:03:04.5Z"},
        "value": [{"name": "a"}, {"name": None, "income": 1.5}],
        "tags": {"name": "x"},
    }
    assert shape(answered) == {
        "id": "text (resource id)",
        "properties": {"traffic": {OTHER: "integer"}, "provisioningState": "text", "mirrorTraffic": {}},
        "systemData": {"createdAt": "text (time)"},
        "value": [{"name": "null | text", OTHER: "number"}],
        "tags": {OTHER: "text"},
    }


def test_of_a_path_the_documents_words_are_left_whatever_their_case() -> None:
    assert path(
        "/subscriptions/S/resourcegroups/G/providers/Microsoft.MachineLearningServices/workspaces/W/jobs/J"
    ) == ("/subscriptions/{}/resourceGroups/{}/providers/Microsoft.MachineLearningServices/workspaces/{}/jobs/{}")
    assert query("api-version=2025-12-01&name=income&count=3") == ["api-version=2025-12-01", "count", OTHER]
    assert query("api-version=secret") == ["api-version"]


def test_shapes_that_differ_are_one_with_both() -> None:
    assert merged({"a": "text"}, {"a": "null", "b": []}) == {"a": "null | text", "b": []}
    assert merged(merged("text", "integer"), {"a": 1}) == "integer | object | text"
    assert merged(["text"], []) == ["text"]


def invented(made: random.Random, depth: int = 0) -> Any:
    """Return JSON in which each name, text and number that is not the documents' is marked."""
    match made.randrange(9 if depth < 5 else 6):
        case 0:
            return made.choice([None, True, False])
        case 1:
            return int(f"{NUMBER}{made.randrange(1000)}")
        case 2:
            return float(f"{NUMBER}.{NUMBER}")
        case 3 | 4 | 5:
            begin = made.choice(["", "/subscriptions/", "https://", "P1D", "2026-11-01T02:03:04", "azureml:", "\n"])
            return begin + MARK + "".join(made.choices(string.printable, k=made.randrange(9)))
        case 6:
            return [invented(made, depth + 1) for _ in range(made.randrange(4))]
        case _:
            names = [made.choice(sorted(MEMBERS)), f"{MARK}{made.random()}", made.choice(["traffic", "properties"])]
            return {name: invented(made, depth + 1) for name in names}


def called(
    recorder: Recorder, url: str, status: int, sent: bytes, answered: bytes, headers: dict[str, str], method: str
) -> None:
    response = requests.Response()
    response.status_code = status
    response.request = requests.Request(method, url, data=sent).prepare()
    response.headers.update(headers)
    response.raw = urllib3.HTTPResponse(io.BytesIO(answered), headers, preload_content=False)
    recorder(response)
    while response.raw.read1(7, decode_content=True):
        pass


@pytest.mark.parametrize("seed", range(150))
def test_no_value_and_no_name_of_the_user_survives(seed: int) -> None:
    made = random.Random(seed)
    recorder = Recorder()
    segments = [made.choice(["subscriptions", "workspaces", "jobs", MARK, f"{MARK}-{NUMBER}"]) for _ in range(6)]
    url = f"https://{MARK}.westeurope.inference.ml.azure.com/{'/'.join(segments)}?{MARK}={NUMBER}&api-version={MARK}"
    bodies = [json.dumps(invented(made)).encode() for _ in range(2)]
    bodies = [made.choice([body, f"{MARK} is not JSON".encode(), body[:-1]]) for body in bodies]
    headers = {"Retry-After": str(NUMBER), "Azure-AsyncOperation": MARK, f"X-{MARK}": MARK, "Content-Type": MARK}
    called(recorder, url, made.choice([200, 404, 500]), *bodies, headers, made.choice(["GET", "PUT", MARK]))
    text = recorder.text()
    assert MARK.lower() not in text.lower() and str(NUMBER) not in text
    [call] = json.loads(text)["calls"]
    assert (call["plane"], call["headers"]) == ("scoring", ["azure-asyncoperation", "content-type", "retry-after"])


def test_what_doctor_asks_a_workspace_is_recorded_without_what_is_in_it(here: Here, tmp_path: Path) -> None:
    serve(here, blue=100)
    app, recorder = app_of(here, tmp_path), Recorder()
    app.observe(recorder)
    findings = list(look(app, app.pipelines[NAME]))
    text = recorder.text()
    assert recorder.count == len(app.wire.calls) > 8
    known = here.workspace.identity
    tokens = [call.headers["Authorization"].partition(" ")[2] for call in app.wire.calls]
    values = [NAME, "blue", "cpu-cluster", "relearn", "diagnosis", "westeurope", "devstoreaccount1", "malignant"]
    values += [known.subscription, known.group, known.tenant, known.principal, known.token_secret, *tokens]
    assert [value for value in values if value in text] == []
    assert findings
    calls = json.loads(text)["calls"]
    endpoint = next(each for each in calls if each["path"].endswith("/onlineEndpoints/{}"))
    assert endpoint["answered"]["properties"]["traffic"] == {OTHER: "integer"}
    assert endpoint["method"] == "GET" and endpoint["query"] == ["api-version=2025-12-01"]


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings, file = tmp_path / "local.settings.json", tmp_path / "mine"
    settings.write_text('{"Values": {}}')
    file.write_text("mine")
    assert main(["doctor", "--settings", str(settings), "--record", str(file)]) == USAGE
    assert (file.read_text(), "is there already" in capsys.readouterr().err) == ("mine", True)
    new = tmp_path / "new"
    main(["doctor", "--settings", str(settings), "--record", str(new)])
    assert json.loads(new.read_text()) == {"format": 1, "calls": []}
