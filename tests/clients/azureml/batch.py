"""A batch endpoint: each call of it starts a job of a pipeline component."""

import requests
from azure.ai.ml import Input, Output, dsl
from azure.ai.ml.entities import BatchEndpoint, PipelineComponentBatchDeployment
from jobs import STORE, wait
from report import refusal, report

ENDPOINT = "counter"
ROWS = Input(type="uri_file", path=f"{STORE}/income/rows.csv")


def begin(client):
    """Make the endpoint and start a job by calling it; return the job."""
    endpoints = client.batch_endpoints
    made = endpoints.begin_create_or_update(BatchEndpoint(name=ENDPOINT, tags={"of": "rows"})).result()
    report("a batch endpoint is made", [made.name, made.provisioning_state, made.auth_mode, made.tags])
    deploy(client)
    report("a call without a default deployment is refused", refusal(endpoints.invoke, ENDPOINT, inputs={"data": ROWS}))
    made = endpoints.get(ENDPOINT)
    made.defaults = {"deployment_name": "first"}
    endpoints.begin_create_or_update(made).result()
    report("a batch endpoint gets a default deployment", endpoints.get(ENDPOINT).defaults.deployment_name)
    report("a call without its data is refused", refusal(endpoints.invoke, ENDPOINT, inputs={}))
    wrong = {"data": ROWS, "times": Input(type="string", default="often")}
    report("a call with a number that is not one is refused", refusal(endpoints.invoke, ENDPOINT, inputs=wrong))
    report("a call without a token is refused", requests.post(made.scoring_uri, json={}).status_code)
    given = {"data": ROWS, "times": Input(type="integer", default=4)}
    outputs = {"counted": Output(type="uri_folder", path=f"{STORE}/counted/called/")}
    begun = endpoints.invoke(ENDPOINT, inputs=given, outputs=outputs, experiment_name="calls")
    report("a call of a batch endpoint starts a job", [begun.name.startswith("batchjob-"), bool(begun.status)])
    return begun


def deploy(client):
    count = client.components.get("count_rows", "7")

    @dsl.pipeline(name="counting", version="1")
    def counting(data: Input(type="uri_file"), times: Input(type="integer", default=3)):
        return {"counted": count(data=data, times=times).outputs.counted}

    published = client.components.create_or_update(counting)
    report("a pipeline component is published", [published.name, published.version, published.type])
    settings = {"default_compute": "cpu-cluster"}
    given = {"endpoint_name": ENDPOINT, "settings": settings}
    deployments = client.batch_deployments
    for name in ("first", "second"):
        deployment = PipelineComponentBatchDeployment(name=name, component="azureml:counting:1", **given)
        made = deployments.begin_create_or_update(deployment).result()
    report("batch deployments are made", [made.name, made.component.rpartition("/workspaces/local/")[2], made.settings])
    report("the batch deployments are listed", sorted(each.name for each in deployments.list(ENDPOINT)))
    found = deployments.get("first", ENDPOINT)
    report("a batch deployment is read", [found.provisioning_state, found.properties["default_compute"]])
    command = PipelineComponentBatchDeployment(name="third", component="azureml:count_rows:7", **given)
    report("a component that is not a pipeline is not deployed", refusal(deployments.begin_create_or_update, command))


def run(client, begun):
    named = client.batch_endpoints.invoke(ENDPOINT, deployment_name="second", inputs={"data": ROWS})
    report("the job of a call completes", wait(client, begun.name))
    job = client.jobs.get(begun.name)
    report("the job of a call has what the call gave", [job.type, job.experiment_name, job.inputs["times"]._data])
    children = list(client.jobs.list(parent_job_name=begun.name))
    report("the job of a call has the component's steps", [[each.display_name, each.status] for each in children])
    jobs = [each.name for each in client.batch_endpoints.list_jobs(ENDPOINT)]
    report("the jobs of a batch endpoint are listed", sorted(jobs) == sorted([begun.name, named.name]))
    jobs = [each.name for each in client.batch_deployments.list_jobs(ENDPOINT, name="second")]
    report("the jobs of a batch deployment are listed", jobs == [named.name])
    report("the job of a call of the other deployment completes", wait(client, named.name))
    remove(client)


def remove(client):
    client.batch_deployments.begin_delete("first", ENDPOINT).result()
    found = client.batch_endpoints.get(ENDPOINT).defaults.deployment_name
    report(
        "a deleted deployment is not the default",
        [found, [each.name for each in client.batch_deployments.list(ENDPOINT)]],
    )
    client.batch_endpoints.begin_delete(ENDPOINT).result()
    report("the batch endpoint is deleted", [each.name for each in client.batch_endpoints.list()])
