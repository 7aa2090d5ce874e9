import { http } from "@google-cloud/functions-framework";
import { drainOnSignals } from "./drain.ts";
import { createWebhook } from "./webhook.ts";
import { webhookDeps } from "./wiring.ts";

drainOnSignals();
http("webhook", createWebhook(webhookDeps));
