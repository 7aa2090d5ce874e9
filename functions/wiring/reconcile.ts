import type { KnownCaller } from "../caller.ts";
import { type Callers, wireCallers } from "./callers.ts";
import { type FlowOptions, type FlowWiring, wireFlows } from "./flows.ts";

/** What the reconcile function needs: it acts as builds does, and has to know its callers besides. */
export interface ReconcileWiring extends FlowWiring {
  callers(): Promise<Callers>;
}

export interface ReconcileOptions extends FlowOptions {
  /** Callers besides the configured ones: a runner's own timer. */
  readonly alsoCallers?: readonly KnownCaller[];
}

export function wireReconcile(options: ReconcileOptions): ReconcileWiring {
  return { ...wireFlows(options), callers: wireCallers(options, options.alsoCallers) };
}
