import type { CloudEvent, CloudEventFunction } from "@google-cloud/functions-framework";
import { newBudget } from "../shared/flows/deps.ts";
import { take } from "../shared/flows/take.ts";
import { redelivered } from "./boundary.ts";
import { deliveryOf } from "./pubsub-event.ts";
import type { FlowWiring } from "./wiring/flows.ts";

/** A message on Landfall's topic: a push, or a rollout to go on with. Returning acknowledges it. */
export function createBuilds(wiring: () => FlowWiring): CloudEventFunction<unknown> {
  return (event: CloudEvent<unknown>) =>
    redelivered(wiring().log, async () => {
      const deps = await wiring().flows();
      await take(deps, deliveryOf(event), newBudget(deps.clock, wiring().stopping));
    });
}
