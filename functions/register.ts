import { cloudEvent, http } from "@google-cloud/functions-framework";
import { createBuilds } from "./builds.ts";
import { createReconcile } from "./reconcile.ts";
import { createWebhook } from "./webhook.ts";
import type { Wiring } from "./wiring.ts";

/** Names the three functions to the Functions Framework; each deployment picks one by its name. */
export function registerFunctions(wiring: () => Wiring): void {
  http(
    "webhook",
    createWebhook(() => wiring().receive()),
  );
  cloudEvent("builds", createBuilds(wiring));
  http("reconcile", createReconcile(wiring));
}
