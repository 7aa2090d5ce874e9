import { setTimeout as pause } from "node:timers/promises";
import { httpClient } from "../../shared/http.ts";
import { engineContract } from "../contracts/engine.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const prefix = "e2e-engine-";
let built = 0;

engineContract("a real Docker Swarm manager", async () => {
  const http = httpClient({ socketPath: bed.dockerHost.slice("unix://".length) });
  return {
    prefix,
    task: { Networks: [{ Target: "host" }] },
    async image(behaviour) {
      const cmd = behaviour === "exits" ? { cmd: ["sh", "-c", "exit 3"] } : {};
      const labels = { build: `${process.pid}-${++built}` };
      const digest = await bed.pushImage("e2e-engine/web", "int", { ...cmd, labels });
      return `${bed.registry}/e2e-engine/web:int@${digest}`;
    },
    async call(method, path, body, headers) {
      const url = new URL(/^\/v\d/.test(path) ? path : `/v1.41${path}`, "http://docker").href;
      const answer = await http.request({
        method: method === "GET" ? "GET" : "POST",
        url,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        headers: { "content-type": "application/json", ...headers },
        deadlineMs: 10_000,
        maxBytes: 1 << 24,
      });
      const text = answer.body.toString().trim();
      const json = text.startsWith("{") || text.startsWith("[") ? JSON.parse(text) : text;
      return { status: answer.status, body: answer.status < 300 ? json : (json.message ?? json) };
    },
    pass: () => pause(200),
    async close() {
      await http.close();
      await bed.removeServices(prefix);
    },
  };
});
