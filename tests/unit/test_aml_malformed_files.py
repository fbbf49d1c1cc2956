"""YAML files that are wrong anywhere are refused with a reason, by the reader or by the service."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aml.cli.imports import make_one, read_files
from aml.importing.assets import Assets
from aml.remote import Remote
from aml.state.serving import AnyEndpoint, BatchEndpoint, Endpoint
from service.client import Client, Refused
from service.commands import Failed, Stopped
from tests.support.aml import Here, refusal
from tests.support.waiting import until

HOSTILE = [
    None,
    "",
    "azureml:",
    "azureml:a",
    "azureml:a:1",
    "azureml:python@latest",
    "${{parent.inputs.x}}",
    "../nowhere",
    "\x00",
    10**40,
]
JUNK = st.recursive(
    st.sampled_from(HOSTILE)
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=6)
    | st.dates(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=2),
    max_leaves=4,
)
#: right files, whose members are replaced one by one
FILES: list[dict[str, Any]] = list(
    yaml.safe_load_all("""
name: e
image: a
conda_file: {a: 1}
inference_config: {scoring_route: {port: 1, path: /}}
---
name: d
type: uri_file
path: azureml://datastores/workspaceblobstore/paths/a
version: 1
tags: {a: b}
---
name: m
type: custom_model
path: azureml://datastores/workspaceblobstore/paths/a
flavors: {}
---
name: c
version: "1"
command: echo ${{inputs.a}}
environment: azureml:python:1
inputs: {a: {type: string, default: 1}}
outputs: {b: {type: uri_folder}}
---
command: echo ${{inputs.a}}
environment: azureml:python:1
compute: azureml:cpu-cluster
limits: {timeout: 1}
inputs: {a: 1, d: {type: uri_file, path: azureml:d:1, mode: download}}
outputs: {b: {mode: upload}}
distribution: {type: mpi, process_count_per_instance: 1}
resources: {instance_count: 1}
environment_variables: {A: b}
identity: {type: managed}
queue_settings: {job_tier: spot}
---
type: pipeline
inputs: {x: 1}
outputs: {o: {type: uri_folder}}
settings: {default_compute: azureml:cpu-cluster}
jobs:
  a:
    command: echo ${{inputs.x}}
    environment: azureml:python:1
    inputs: {x: "${{parent.inputs.x}}"}
    outputs: {o: "${{parent.outputs.o}}"}
---
type: pipeline
name: p
version: 1
inputs: {x: {type: string, default: a}}
jobs: {a: {component: azureml:c:1, inputs: {a: "${{parent.inputs.x}}"}}}
---
name: batch
defaults: {deployment_name: ""}
---
name: first
endpoint_name: batch
component: azureml:p:1
settings: {default_compute: azureml:cpu-cluster}
---
name: endpoint
auth_mode: key
traffic: {}
mirror_traffic: {}
identity: {type: system_assigned}
---
name: blue
endpoint_name: endpoint
model: azureml:m:1
environment: {image: a}
instance_count: 1
request_settings: {request_timeout_ms: 1}
scale_settings: {type: default}
liveness_probe: {period: 1}
""")
)


class RemoteHere(Remote):
    """The workspace of this process, called without a port."""

    def __init__(self, here: Here) -> None:
        super().__init__("http://127.0.0.1", here.workspace.id, Client(""))
        self._here = here

    def get(self, path: str, **query: str) -> Any:
        return self._answer("GET", path, **query)

    def put(self, path: str, body: Any) -> dict[str, Any]:
        return dict(self._answer("PUT", path, body))

    def _answer(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        answer = self._here.call(method, path, body, **query)
        assert answer.status < 500, answer.body
        if answer.status >= 400:
            raise Refused(refusal(answer)[1], answer.status)
        return answer.json


@pytest.fixture
def here(tmp_path: Path) -> Here:
    here = Here(tmp_path / "aml", typed=False)
    here.put("environments/python/versions/1", image="python:3.12")
    return here


@pytest.mark.parametrize("right", FILES, ids=lambda each: "-".join(list(each)[:3]))
def test_a_file_that_is_wrong_somewhere_is_refused_with_a_reason(
    here: Here, tmp_path: Path, right: dict[str, Any]
) -> None:
    file, remote = tmp_path / "file.yml", RemoteHere(here)

    @settings(max_examples=25, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def refused_well(data: st.DataObject) -> None:
        body: Any = yaml.safe_load(yaml.safe_dump(right))
        members = data.draw(
            st.sampled_from([body, *(each for each in body.values() if isinstance(each, dict) and each)])
        )
        members[data.draw(st.sampled_from(sorted(members)) | st.text(max_size=4))] = data.draw(JUNK)
        file.write_text(yaml.safe_dump(data.draw(st.just(body) | JUNK), allow_unicode=True), "utf-8", errors="replace")
        try:
            for document, kind in read_files([file]):
                make_one(Assets(remote), document, kind)
        except Stopped as error:
            assert re.match(rf"{re.escape(str(file))}(:\d+)?: ", str(error)), error
        except Failed:
            pass

    refused_well()


def test_each_of_the_files_is_right_as_it_is(here: Here, tmp_path: Path) -> None:
    for number, body in enumerate(FILES):
        file = tmp_path / f"{number}.yml"
        file.write_text(yaml.safe_dump(body), "utf-8")
        for document, kind in read_files([file]):
            make_one(Assets(RemoteHere(here)), document, kind)
        endpoints = [each for of in (Endpoint, BatchEndpoint) for each in here.workspace.records.all(of)]
        until(lambda endpoints=endpoints: not any(moves(here, each) for each in endpoints), "the endpoints are made")


def moves(here: Here, endpoint: AnyEndpoint) -> bool:
    found = here.workspace.records.find(type(endpoint), endpoint.id)
    return found is not None and found.moves
