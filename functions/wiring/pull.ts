import type { Bus } from "../../shared/bus/bus.ts";
import type { PullOptions } from "../../shared/bus/pubsub/pull.ts";
import type { Subscriber } from "../../shared/bus/subscriber.ts";
import type { FlowOptions } from "./flows.ts";

/** The bus for a process that pulls its messages: Google's client, which a function that is called needs not hold. */
export function wirePull({
  clock,
  log,
}: Pick<FlowOptions, "clock" | "log">): (
  where: Omit<PullOptions, "clock" | "log" | "random">,
) => Promise<Bus & Subscriber> {
  return async (where) => {
    const { pullBus } = await import("../../shared/bus/pubsub/pull.ts");
    return pullBus({ ...where, clock, log, random: Math.random });
  };
}
