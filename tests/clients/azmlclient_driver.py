"""Runs azmlclient, a public client of Studio's data plane, under the Python that it was made for.

Takes JSON on standard input, prints JSON; what the client itself prints goes to standard error.
"""

import json
import sys
import time

import pandas as pd
from azmlclient import AzmlException, BatchClient, execute_rr

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
    results = None
    while results is None:
        time.sleep(0.05)
        results = client.read_status_or_result(client.execute_batch_getJobStatusOrResult(*where, job))
    client.execute_batch_deleteJob(*where, job)
    return results


found = {"table": score(False), "swagger": score(True), "refused": refused(), "batch": batch()}
json.dump(found, answer_to)
