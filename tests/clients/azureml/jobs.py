"""Command jobs, and a pipeline job made of a component."""

import contextlib
import io

from azure.ai.ml import Input, Output, command, dsl, load_job
from page import run_sample
from report import refusal, report, until

STORE = "azureml://datastores/workspaceblobstore/paths"
FINAL = ("Completed", "Failed", "Canceled")


def run(client):
    """Return the job that trained a model."""
    workspace = client.workspaces.get().id  # an upload needs the storage under its real name
    code = {"code": f"azureml:{workspace}/codes/train/versions/1"}
    trained = client.jobs.create_or_update(load_job("train.yml", params_override=[code]))
    report("a job is submitted from YAML", [trained.experiment_name, trained.display_name, trained.tags])
    pipeline = submit_pipeline(client)
    failing = client.jobs.create_or_update(shell("echo before && exit 3", tags={"kind": "failing"}))
    endless = client.jobs.create_or_update(shell("sleep 1000"))
    report("a job whose environment is not there is refused", refusal(client.jobs.create_or_update, lost()))

    log, error = streamed(client, trained.name)
    report("the log of a job is streamed", ["auc of " in log, error])
    found = client.jobs.get(trained.name)
    report("a job completes", [found.status, sorted(found.inputs), sorted(found.outputs)])
    printed = run_sample(f"/jobs/{trained.name}")
    report("the page's sample reads the job", ["COMPLETED" in printed.upper(), "Execution Summary" in printed])

    _, error = streamed(client, failing.name)
    report("a job that fails says so to whom streams it", error)
    report("a job that failed is read", client.jobs.get(failing.name).status)

    client.jobs.begin_cancel(endless.name).result()
    report("a job is cancelled", wait(client, endless.name))
    change(client, failing.name)
    follow_pipeline(client, pipeline)
    return trained


def shell(line, **members):
    return command(command=line, environment="sklearn:1", compute="cpu-cluster", **members)


def lost():
    return command(command="true", environment="nowhere:1", compute="cpu-cluster")


def submit_pipeline(client):
    count = client.components.get("count_rows", "7")

    @dsl.pipeline(default_compute="cpu-cluster")
    def counting(data):
        first = count(data=data, times=2)
        second = count(data=data, text="again")
        return {"first": first.outputs.counted, "second": second.outputs.counted}

    job = counting(Input(type="uri_file", path=f"{STORE}/income/rows.csv"))
    job.outputs.first = Output(type="uri_folder", path=f"{STORE}/counted/first/")
    job.outputs.second = Output(type="uri_folder", path=f"{STORE}/counted/second/")
    made = client.jobs.create_or_update(job, experiment_name="counting")
    report("a pipeline job is submitted", [made.type, sorted(made.jobs)])
    return made.name


def follow_pipeline(client, name):
    report("a pipeline job completes", wait(client, name))
    children = list(client.jobs.list(parent_job_name=name))
    report("the steps of a pipeline job are listed", sorted(each.display_name for each in children))


def change(client, name):
    job = client.jobs.get(name)
    job.tags = {"kind": "changed"}
    client.jobs.create_or_update(job)
    report("the tags of a job are changed", client.jobs.get(name).tags)
    report("jobs are listed by a tag", [each.name == name for each in client.jobs.list(tag="kind=changed")])
    client.jobs.archive(name)
    report("an archived job is not listed", [each.name for each in client.jobs.list(tag="kind=changed")])
    client.jobs.restore(name)
    report("a restored job is listed again", [each.name == name for each in client.jobs.list(tag="kind=changed")])


def streamed(client, name):
    """Return what the client prints of the job's log, and the class of the error that it ends with."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            client.jobs.stream(name)
        except Exception as error:
            return printed.getvalue(), type(error).__name__
    return printed.getvalue(), None


def wait(client, name):
    """Return the state in which the job ends."""

    def end():
        status = client.jobs.get(name).status
        return status if status in FINAL else None

    return until(end, f"the end of job {name}")
