import { http } from "@google-cloud/functions-framework";
import { drainOnSignals } from "../drain.ts";
import { ownBodies } from "../request-body.ts";
import { createWebhook } from "../webhook.ts";
import { deployedContext } from "../wiring/context.ts";
import { once } from "../wiring/once.ts";
import { wirePublish } from "../wiring/publish.ts";
import { wireReceive } from "../wiring/receive.ts";

const stopping = drainOnSignals();
const receiving = once(() => {
  const context = deployedContext(stopping);
  return wireReceive(context, wirePublish(context));
});

// Alone in its process, it owns all bodies: the framework would read those of paths that nobody answers.
ownBodies(() => true);
http(
  "webhook",
  createWebhook(() => receiving()()),
);
