import { readFileSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { http } from "@google-cloud/functions-framework";
import { getTestServer } from "@google-cloud/functions-framework/testing";
import { createWebhook } from "../../functions/webhook.ts";
import { silentLog } from "../../shared/log.ts";
import { native } from "../../shared/sources/native.ts";

// WEBHOOK_SECRET=… node --expose-gc webhook.ts, forked: the webhook function alone, with a bus that takes everything. Sends
// { port } once; `reset` forgets garbage and the peak of its memory, `peak` asks for it; both are answered with { peak } in bytes.
const isLinux = process.platform === "linux";
const secret = process.env.WEBHOOK_SECRET ?? "";
http(
  "webhook",
  createWebhook(() => ({
    webhooks: [{ source: native, secrets: [() => secret] }],
    bus: { publish: async () => {} },
    newId: () => "event",
    clock: { now: () => 0 },
    log: silentLog,
  })),
);

const server = getTestServer("webhook").listen(0, "127.0.0.1", () => {
  process.send?.({ port: (server.address() as AddressInfo).port });
});
process.on("message", (message) => {
  if (message === "reset") {
    globalThis.gc?.();
    if (isLinux) writeFileSync("/proc/self/clear_refs", "5");
  }
  process.send?.({ peak: peakBytes() });
});
process.on("disconnect", () => process.exit(0));

/** Elsewhere than on Linux the peak cannot be forgotten: it is that of the whole process. */
function peakBytes(): number {
  if (!isLinux) return process.resourceUsage().maxRSS * 1024;
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) * 1024;
}
