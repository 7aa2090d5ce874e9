import { http } from "@google-cloud/functions-framework";
import { drainOnSignals } from "../drain.ts";
import { createReconcile } from "../reconcile.ts";
import { ownBodies } from "../request-body.ts";
import { deployedContext } from "../wiring/context.ts";
import { once } from "../wiring/once.ts";
import { wireReconcile } from "../wiring/reconcile.ts";

const stopping = drainOnSignals();
// Alone in its process, it owns all bodies: the framework would read those of paths that nobody answers.
ownBodies(() => true);
http("reconcile", createReconcile(once(() => wireReconcile(deployedContext(stopping)))));
