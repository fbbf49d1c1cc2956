"""Online endpoints: deployments, traffic, keys and tokens."""

import json
from collections import Counter

from azure.ai.ml.entities import CodeConfiguration, ManagedOnlineDeployment, ManagedOnlineEndpoint, Model
from page import run_sample
from report import refusal, report, until

ENDPOINT = "income"
GIVEN = {"endpoint_name": ENDPOINT, "instance_type": "Standard_DS3_v2", "instance_count": 1}


def begin(client):
    """Begin what takes its time: endpoints with a key and with a token."""
    return [
        client.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=ENDPOINT, auth_mode="key")),
        client.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name="tokens", auth_mode="aml_token")),
    ]


def run(client, trained, begun):
    made = [each.result() for each in begun]
    report("endpoints are made", [[each.name, each.provisioning_state, each.auth_mode] for each in made])
    register(client, trained)
    deploy(client)
    follow(client)
    name_one(client)
    update(client)
    keys_and_tokens(client)
    remove(client)


def register(client, trained):
    """Register what autolog has logged of the job as version 1, and the output that the script wrote as version 2."""
    for version, output in (("1", "artifacts/paths/model"), ("2", "model")):
        path = f"azureml://jobs/{trained.name}/outputs/{output}"
        model = client.models.create_or_update(Model(name=ENDPOINT, version=version, type="mlflow_model", path=path))
        report(f"a model is registered from a job's {output.partition('/')[0]}", [model.name, model.type])


def deploy(client):
    """`blue` serves the model that autolog logged, `green` a script, and `failing` cannot start."""
    deployments = client.online_deployments
    blue = ManagedOnlineDeployment(name="blue", model=f"azureml:{ENDPOINT}:1", **GIVEN)
    begun = [deployments.begin_create_or_update(blue)]
    again = refusal(deployments.begin_create_or_update, blue)
    report("a deployment that is being made is not changed", again)
    code = CodeConfiguration(code=f"{client.workspaces.get().id}/codes/score/versions/1", scoring_script="score.py")
    green = ManagedOnlineDeployment(name="green", code_configuration=code, environment="sklearn:1", **GIVEN)
    begun.append(deployments.begin_create_or_update(green))

    failing = ManagedOnlineDeployment(name="failing", model="azureml:by-address:1", **GIVEN)
    report("a deployment that cannot start fails", refusal(deployments.begin_create_or_update, failing))
    report("a deployment that failed stays", deployments.get("failing", ENDPOINT).provisioning_state)
    log = deployments.get_logs("failing", ENDPOINT, lines=20)
    report("the log of a deployment that failed says why", "serves an MLflow model" in log)
    log = deployments.get_logs("failing", ENDPOINT, lines=20, container_type="storage-initializer")
    report("its other log has the download", "Downloading" in log)
    report("a deployment that failed gets no traffic", refusal(traffic, client, failing=100))
    deployments.begin_delete("failing", ENDPOINT).result()

    report("deployments are made", [each.result().provisioning_state for each in begun])
    report("the deployments are listed", sorted(each.name for each in deployments.list(ENDPOINT)))
    report("a deployment has its log", "init of the script" in deployments.get_logs("green", ENDPOINT, lines=20))


def follow(client):
    """Calls that follow the traffic. They come first: the client keeps the header of a call that names a deployment."""
    report("without traffic nothing answers", refusal(score, client))
    traffic(client, blue=100)
    report("the traffic is read back", client.online_endpoints.get(ENDPOINT).traffic)
    report("the endpoint answers with predictions", score(client))
    report("the page's sample calls the endpoint", len(json.loads(run_sample(f"/endpoints/{ENDPOINT}"))))

    traffic(client, mirror={"green": 50}, blue=100)
    report("the mirrored traffic is read back", client.online_endpoints.get(ENDPOINT).mirror_traffic)
    report("calls that are mirrored have one answer", [score(client) for _ in range(2)])
    report("half of them were mirrored", copies(client))

    traffic(client, blue=90, green=10)
    report("the traffic is divided", client.online_endpoints.get(ENDPOINT).traffic)
    report("calls follow the divided traffic", sorted(Counter(str(score(client)) for _ in range(10)).values()))
    report(
        "a deployment with traffic is not deleted",
        refusal(client.online_deployments.begin_delete, "green", ENDPOINT),
    )
    report("traffic for a deployment that is not there is refused", refusal(traffic, client, other=100))
    traffic(client, blue=100, green=0)
    report("one deployment has all traffic again", [score(client), client.online_endpoints.get(ENDPOINT).traffic])
    traffic(client, green=100)
    report("all calls go to the other deployment", [score(client), client.online_endpoints.get(ENDPOINT).traffic])


def name_one(client):
    report("a call reaches the deployment that it names", score(client, deployment_name="blue"))
    report("the client itself keeps the header of that call", score(client))


def update(client):
    """Change a deployment that serves; while it is in the state Updating it takes no other change."""
    deployments = client.online_deployments
    blue = deployments.get("blue", ENDPOINT)
    blue.environment_variables = {"CHANGED": "yes"}
    begun = deployments.begin_create_or_update(blue)
    state, again = (
        deployments.get("blue", ENDPOINT).provisioning_state,
        refusal(deployments.begin_create_or_update, blue),
    )
    report("a deployment that is being updated is not changed", [state, *again])
    made = begun.result()
    report("a deployment is updated", [made.provisioning_state, made.environment_variables])


def keys_and_tokens(client):
    endpoints = client.online_endpoints
    keys = endpoints.get_keys(ENDPOINT)
    endpoints.begin_regenerate_keys(ENDPOINT, key_type="primary").result()
    other = endpoints.get_keys(ENDPOINT)
    same = [keys.primary_key == other.primary_key, keys.secondary_key == other.secondary_key]
    report("the primary key is made again, the other stays", same)
    report("a call with the new key is answered", score(client))
    token = endpoints.get_keys("tokens")
    report("an endpoint gives a token", [bool(token.access_token), token.token_type])


def remove(client):
    traffic(client, green=100)
    client.online_deployments.begin_delete("blue", ENDPOINT).result()
    report("a deployment without traffic is deleted", [each.name for each in client.online_deployments.list(ENDPOINT)])
    for begun in [client.online_endpoints.begin_delete(name) for name in (ENDPOINT, "tokens")]:
        begun.result()
    left = {each.name for each in client.online_endpoints.list()}
    report("the endpoints are deleted", sorted(left & {ENDPOINT, "tokens"}))
    report("an endpoint that is not there is refused", refusal(client.online_endpoints.get, ENDPOINT))


def traffic(client, mirror=None, **percents):
    endpoint = client.online_endpoints.get(ENDPOINT)
    endpoint.traffic, endpoint.mirror_traffic = percents, mirror or {}
    client.online_endpoints.begin_create_or_update(endpoint).result()


def score(client, **named):
    return json.loads(client.online_endpoints.invoke(ENDPOINT, request_file="rows.json", **named))


def copies(client):
    """Return how many calls `green` has scored, once there is one: nobody waits for the answer of a copy."""
    return until(
        lambda: client.online_deployments.get_logs("green", ENDPOINT, lines=50).count("scored"), "a mirrored call"
    )
