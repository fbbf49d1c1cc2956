// A client that a code generator made of a swagger.json scores rows, or runs a batch job: whichever it has been given.
// Takes JSON on the command line, prints JSON.
import { createRequire } from "node:module";

const given = JSON.parse(process.argv[2]);
const { DefaultService, OpenAPI } = createRequire(import.meta.url)(given.client);
OpenAPI.BASE = given.address;
OpenAPI.TOKEN = given.key;

const PATIENCE_MS = 300_000; // also on a slow machine that is busy

async function batch(request) {
  const job = await DefaultService.createJob(request);
  await DefaultService.startJob(job);
  const deadline = Date.now() + PATIENCE_MS;
  while (Date.now() < deadline) {
    const status = await DefaultService.getJob(job);
    if (!["NotStarted", "Running"].includes(status.StatusCode)) {
      await DefaultService.deleteJob(job);
      return status;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`job ${job} has not ended within ${PATIENCE_MS} ms`);
}

const refused = (error) => ({ status: error.status, body: error.body });
const done = given.score ? DefaultService.execute(given.score) : batch(given.batch);
console.log(JSON.stringify(await done.catch(refused)));
