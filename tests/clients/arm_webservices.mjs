// Microsoft's own client for New web services does what a retraining program does: it exports the definition, changes
// the model's address, puts it back, and reads it again. Takes JSON on the command line, prints JSON.
import { createRequire } from "node:module";

const { AzureMLWebServicesManagementClient } = createRequire(import.meta.url)("@azure/arm-webservices");

const given = JSON.parse(process.argv[2]);
const credential = { getToken: async () => ({ token: given.token, expiresOnTimestamp: Date.now() + 3600_000 }) };
const client = new AzureMLWebServicesManagementClient(credential, given.subscription, { endpoint: given.address });
const services = client.webServices;
const soon = { updateIntervalInMs: 50 };

async function names(pages) {
  const found = [];
  for await (const each of pages) found.push(each.name);
  return found;
}

const exported = await services.get(given.group, given.name);
const changed = structuredClone(exported);
for (const asset of Object.values(changed.properties.assets)) {
  if (asset.type === "Resource") asset.locationInfo.uri = given.uri;
}
const replaced = await services.beginCreateOrUpdateAndWait(given.group, given.name, changed, soon);
const patch = { properties: { packageType: "Graph", description: "retrained" }, tags: { by: "a client" } };
const patched = await services.beginPatchAndWait(given.group, given.name, patch, soon);
const lost = { properties: { packageType: "Graph", assets: structuredClone(changed.properties.assets) } };
for (const asset of Object.values(lost.properties.assets)) {
  if (asset.type === "Resource") asset.locationInfo.uri += ".lost.ilearner";
}

console.log(
  JSON.stringify({
    exported,
    replaced,
    patched,
    refused: await services.beginPatchAndWait(given.group, given.name, lost, soon).then(
      () => null,
      (error) => error.message,
    ),
    missing: await services.get(given.group, "missing").then(
      () => null,
      (error) => [error.statusCode, error.code],
    ),
    read: await services.get(given.group, given.name),
    keys: await services.listKeys(given.group, given.name),
    inGroup: await names(services.listByResourceGroup(given.group)),
    inSubscription: await names(services.listBySubscriptionId()),
  }),
);
