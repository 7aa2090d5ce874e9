import type { ReceiveDeps } from "../shared/flows/receive.ts";
import { wirePull } from "./wiring/pull.ts";
import { wireReceive } from "./wiring/receive.ts";
import { type ReconcileOptions, type ReconcileWiring, wireReconcile } from "./wiring/reconcile.ts";

/**
 * What a process that runs all functions acts with, made from the configuration; each part at its first use, and once.
 * What a single function needs of it has a file in `wiring/`: a deployed function holds no more.
 */
export interface Wiring extends ReconcileWiring {
  receive(): Promise<ReceiveDeps>;
}

export function wire(options: Omit<ReconcileOptions, "pull">): Wiring {
  const reconcile = wireReconcile({ ...options, pull: wirePull(options) });
  return { ...reconcile, receive: wireReceive(options, reconcile.bus) };
}
