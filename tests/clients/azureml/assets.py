"""Workspace, datastores, computes, environments, data, components and models."""

from azure.ai.ml import load_component
from azure.ai.ml.entities import AzureBlobDatastore, Data, Environment, Model
from report import refusal, report

STORE = "azureml://datastores/workspaceblobstore/paths"


def run(client):
    workspace = client.workspaces.get()
    report("the workspace is read", [workspace.name, workspace.location])
    report("the workspaces of the group are listed", [each.name for each in client.workspaces.list()])
    stores(client)
    environments_and_data(client)
    components(client)
    models(client)


def stores(client):
    report("the datastores are listed", sorted(each.name for each in client.datastores.list()))
    report("the default datastore is known", client.datastores.get_default().name)
    own = AzureBlobDatastore(name="own", account_name="devstoreaccount1", container_name="own")
    client.datastores.create_or_update(own)
    report("a datastore is made", client.datastores.get("own").container_name)
    report("the computes are listed", [each.name for each in client.compute.list()])
    report("a compute is read", client.compute.get("cpu-cluster").type)


def environments_and_data(client):
    made = client.environments.create_or_update(Environment(name="sklearn", version="1", image="python:3.12"))
    report("an environment is made", [made.name, made.version])
    report("the latest environment is found", client.environments.get("sklearn", label="latest").version)
    rows = Data(name="rows", version="1", type="uri_file", path=f"{STORE}/income/rows.csv", tags={"of": "income"})
    client.data.create_or_update(rows)
    found = client.data.get("rows", label="latest")
    report("data is registered by its address", [found.version, found.tags, found.path.endswith("/income/rows.csv")])


def components(client):
    made = client.components.create_or_update(load_component("component.yml"))
    report("a component is published from YAML", [made.name, made.version])
    found = client.components.get("count_rows", "7")
    report("a component is read with its inputs", {name: each["type"] for name, each in found.inputs.items()})
    report("the components are listed", [each.name for each in client.components.list()])


def models(client):
    first = Model(name="by-address", version="1", type="custom_model", path=f"{STORE}/models/a/", tags={"a": "b"})
    client.models.create_or_update(first)
    found = client.models.get("by-address", "1")
    report("a model is registered by its address", [found.type, found.tags, found.path.endswith("/models/a/")])
    second = client.models.create_or_update(Model(name="by-address", type="custom_model", path=f"{STORE}/models/b/"))
    report("the client numbers the next version", second.version)
    report("the latest model is found", client.models.get("by-address", label="latest").version)
    report("the versions are listed", [each.version for each in client.models.list("by-address")])
    other = Model(name="by-address", version="1", type="custom_model", path=f"{STORE}/models/other/")
    report("the files of a version cannot change", refusal(client.models.create_or_update, other))
    client.models.archive("by-address", "1")
    report("an archived version is not listed", [each.version for each in client.models.list("by-address")])
    client.models.restore("by-address", "1")
    report("a restored version is listed again", [each.version for each in client.models.list("by-address")])
    report("a model that is not there is refused", refusal(client.models.get, "nowhere", "1"))
