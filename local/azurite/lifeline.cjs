// Ends Azurite when the process that started it is gone: see local/lifeline.py, which does the same for Python.
const { Socket } = require("node:net");

const ORDERLY_MS = 10000;
const descriptor = process.env.RELEARN_LIFELINE;
delete process.env.RELEARN_LIFELINE;
if (descriptor) {
  const pipe = new Socket({ fd: Number(descriptor), readable: true, writable: false });
  pipe.once("close", () => {
    setTimeout(() => process.kill(process.pid, "SIGKILL"), ORDERLY_MS).unref();
    process.kill(process.pid, "SIGTERM");
  });
  pipe.on("error", () => {}).resume().unref();
}
