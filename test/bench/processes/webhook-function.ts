import { http } from "@google-cloud/functions-framework";
import { drainOnSignals } from "../../../functions/drain.ts";
import { ownBodies } from "../../../functions/request-body.ts";
import { createWebhook } from "../../../functions/webhook.ts";
import { deployedContext } from "../../../functions/wiring/context.ts";
import { once } from "../../../functions/wiring/once.ts";
import { wireReceive } from "../../../functions/wiring/receive.ts";

// The webhook as it ships (functions/entries/webhook.ts), with a bus that accepts at once.
const stopping = drainOnSignals();
const bus = { publish: async () => {} };
const receiving = once(() => wireReceive(deployedContext(stopping), async () => bus));

ownBodies(() => true);
http(
  "webhook",
  createWebhook(() => receiving()()),
);
