// Microsoft's client in JavaScript, with its own credential: models, jobs, endpoints and deployments are made, read,
// listed and deleted. Each step prints a line of JSON.
import { createRequire } from "node:module";

const required = createRequire(import.meta.url);
const { AzureMachineLearningWorkspaces } = required("@azure/arm-machinelearning");
const { DefaultAzureCredential } = required("@azure/identity");

const { AZURE_SUBSCRIPTION_ID, AZURE_RESOURCE_GROUP, AZUREML_WORKSPACE_NAME, ARM_ADDRESS } = process.env;
const place = [AZURE_RESOURCE_GROUP, AZUREML_WORKSPACE_NAME];
const client = new AzureMachineLearningWorkspaces(new DefaultAzureCredential(), AZURE_SUBSCRIPTION_ID, {
  endpoint: ARM_ADDRESS,
});
const soon = { updateIntervalInMs: 100 };
const NAME = "from-javascript";

const report = (step, found) => console.log(JSON.stringify({ [step]: found }));
const refusal = (call) => call.then(() => null, (error) => [error.statusCode, error.code]);

async function names(pages) {
  const found = [];
  for await (const each of pages) found.push(each.name);
  return found;
}

async function models(workspace) {
  const uri = "azureml://datastores/workspaceblobstore/paths/models/a/";
  for (const version of ["1", "2"]) {
    const properties = { modelUri: uri, modelType: "custom_model", tags: { version }, isAnonymous: false };
    await client.modelVersions.createOrUpdate(...place, NAME, version, { properties });
  }
  const found = await client.modelVersions.get(...place, NAME, "2");
  report("JavaScript: a model is made and read", [found.properties.modelType, found.properties.tags]);
  report("JavaScript: the versions are listed", await names(client.modelVersions.list(...place, NAME)));
  const container = await client.modelContainers.get(...place, NAME);
  report("JavaScript: the next version is known", container.properties.nextVersion);
  await client.modelVersions.delete(...place, NAME, "1");
  report("JavaScript: a deleted version is refused", await refusal(client.modelVersions.get(...place, NAME, "1")));
  const image = { properties: { image: "python:3.12" } };
  await client.environmentVersions.createOrUpdate(...place, NAME, "1", image);
  return `${workspace}/environments/${NAME}/versions/1`;
}

const PATIENCE_MS = 300_000; // also on a slow machine that is busy

async function jobs(environmentId) {
  const properties = { jobType: "Command", command: "echo from JavaScript", environmentId, tags: { of: NAME } };
  await client.jobs.createOrUpdate(...place, NAME, { properties });
  const deadline = Date.now() + PATIENCE_MS;
  let job;
  do {
    if (Date.now() > deadline) throw new Error(`job ${NAME} has not ended within ${PATIENCE_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 100));
    job = await client.jobs.get(...place, NAME);
  } while (!["Completed", "Failed", "Canceled"].includes(job.properties.status));
  report("JavaScript: a job runs", [job.properties.status, job.properties.tags]);
  report("JavaScript: jobs are listed by a tag", await names(client.jobs.list(...place, { tag: `of=${NAME}` })));
  const endless = `${NAME}-endless`;
  await client.jobs.createOrUpdate(...place, endless, { properties: { ...properties, command: "sleep 1000" } });
  await client.jobs.beginCancelAndWait(...place, endless, soon);
  report("JavaScript: a job is cancelled", (await client.jobs.get(...place, endless)).properties.status);
  for (const name of [NAME, endless]) await client.jobs.beginDeleteAndWait(...place, name, soon);
  report("JavaScript: deleted jobs are not listed", await names(client.jobs.list(...place, { tag: `of=${NAME}` })));
}

async function endpoints(workspace, environmentId) {
  const body = { location: "westeurope", identity: { type: "SystemAssigned" }, properties: { authMode: "Key" } };
  const change = async (properties) =>
    client.onlineEndpoints.beginCreateOrUpdateAndWait(
      ...place, NAME, { ...body, properties: { ...body.properties, ...properties } }, soon,
    );
  const made = await change({});
  report("JavaScript: an endpoint is made", [made.name, made.properties.provisioningState]);
  const properties = {
    endpointComputeType: "Managed",
    environmentId,
    codeConfiguration: { codeId: `${workspace}/codes/score/versions/1`, scoringScript: "score.py" },
  };
  const sku = { name: "Default", capacity: 1 };
  const deployment = await client.onlineDeployments.beginCreateOrUpdateAndWait(
    ...place, NAME, "blue", { location: "westeurope", properties, sku }, soon,
  );
  report("JavaScript: a deployment is made", deployment.properties.provisioningState);
  report("JavaScript: the deployments are listed", await names(client.onlineDeployments.list(...place, NAME)));
  const log = await client.onlineDeployments.getLogs(...place, NAME, "blue", { tail: 20 });
  report("JavaScript: a deployment has its log", log.content.includes("init of the script"));
  const shifted = await change({ traffic: { blue: 100 } });
  report("JavaScript: the traffic is shifted", shifted.properties.traffic);
  const { primaryKey } = await client.onlineEndpoints.listKeys(...place, NAME);
  const headers = { Authorization: `Bearer ${primaryKey}`, "Content-Type": "application/json" };
  const rows = JSON.stringify({ input_data: { data: [[1, 2]] } });
  const answer = await fetch(shifted.properties.scoringUri, { method: "POST", headers, body: rows });
  report("JavaScript: the endpoint answers", await answer.json());
  const live = client.onlineDeployments.beginDeleteAndWait(...place, NAME, "blue", soon);
  report("JavaScript: a deployment with traffic is not deleted", await refusal(live));
  await change({});
  await client.onlineDeployments.beginDeleteAndWait(...place, NAME, "blue", soon);
  report("JavaScript: a deployment is deleted", await names(client.onlineDeployments.list(...place, NAME)));
  await client.onlineEndpoints.beginDeleteAndWait(...place, NAME, soon);
  report("JavaScript: a deleted endpoint is refused", await refusal(client.onlineEndpoints.get(...place, NAME)));
}

const workspace = await client.workspaces.get(...place);
report("JavaScript: the workspace is read", [workspace.name, workspace.location]);
const environment = await models(workspace.id);
await jobs(environment);
await endpoints(workspace.id, environment);
