"""Runs azmlclient, a public client of Studio's data plane, under the Python that it was made for.

Takes JSON on standard input, prints JSON; what the client itself prints goes to standard error.
"""

import json
import sys
import time
from urllib.parse import urlsplit

import pandas as pd
import requests
from azmlclient import AzmlException, BatchClient, execute_bes, execute_rr
from requests.adapters import HTTPAdapter

PATIENCE = 300.0  #: seconds that a job may take: also on a slow machine that is busy

given = json.load(sys.stdin)
answer_to, sys.stdout = sys.stdout, sys.stderr


def score(swagger):
    rows = pd.DataFrame(given["rows"], columns=given["columns"])
    found = execute_rr(
        given["scoring"]["key"],
        given["scoring"]["address"],
        inputs={"input1": rows},
        params={"Append score columns to output": "True"},
        output_names=["output1"],
        use_swagger_format=swagger,
    )
    return json.loads(found["output1"].to_json(orient="split"))


def refused():
    try:
        execute_rr(given["scoring"]["key"], given["scoring"]["address"], inputs={"other": pd.DataFrame({"a": [1]})})
    except AzmlException as error:
        return [error.error_code, error.details[0]["code"]]
    return None


def batch():
    client, where = BatchClient(), (given["training"]["address"], given["training"]["key"])
    body = client.create_request_body({"input1": given["input"]}, {}, {"output1": given["output"]})
    job = client.execute_batch_createJob(*where, body)
    client.execute_batch_startJob(*where, job)
    results, deadline = None, time.monotonic() + PATIENCE
    while results is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"job {job} has not ended within {PATIENCE:.0f} s")
        time.sleep(0.05)
        results = client.read_status_or_result(client.execute_batch_getJobStatusOrResult(*where, job))
    client.execute_batch_deleteJob(*where, job)
    return results


class Hosted(HTTPAdapter):
    """Leads calls of the hosted storage's name to this machine, as an entry in the hosts file does."""

    def send(self, request, **options):
        request.headers["Host"] = urlsplit(request.url).netloc
        request.url = given["storage"]["address"] + request.path_url
        return super().send(request, **options)


def bes():
    """Run the client's own function from beginning to end: it knows the storage by its account and key only."""
    account = given["storage"]["account"]
    session = requests.Session()
    session.mount(f"https://{account}.blob.core.windows.net/", Hosted())
    found = execute_bes(
        given["scoring"]["key"],
        given["scoring"]["address"],
        account,
        given["storage"]["key"],
        given["storage"]["container"],
        blob_path_prefix="azmlclient",
        inputs={"input1": pd.DataFrame(given["rows"], columns=given["columns"])},
        output_names=["output1"],
        nb_seconds_between_status_queries=0.05,
        requests_session=session,
    )
    return json.loads(found["output1"].to_json(orient="split"))


found = {"table": score(False), "swagger": score(True), "refused": refused(), "batch": batch(), "bes": bes()}
json.dump(found, answer_to)
