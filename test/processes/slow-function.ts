import { once } from "node:events";
import { http } from "@google-cloud/functions-framework";
import { drainOnSignals } from "../../functions/drain.ts";

// functions-framework --source=slow-function.ts --target=slow, spawned with IPC: says "heard" when a request has come,
// answers it with 200 after the next message, and says "stopping" once it may not start new work.
const stopping = drainOnSignals();
stopping.addEventListener("abort", () => process.send?.("stopping"));
http("slow", async (_request, response) => {
  process.send?.("heard");
  await once(process, "message");
  response.send("done");
});
