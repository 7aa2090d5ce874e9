import { cloudEvent } from "@google-cloud/functions-framework";
import { createBuilds } from "../builds.ts";
import { drainOnSignals } from "../drain.ts";
import { deployedContext } from "../wiring/context.ts";
import { wireFlows } from "../wiring/flows.ts";
import { once } from "../wiring/once.ts";

const stopping = drainOnSignals();
cloudEvent("builds", createBuilds(once(() => wireFlows(deployedContext(stopping)))));
