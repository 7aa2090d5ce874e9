import { inject } from "vitest";
import type { Ledger } from "../../shared/ledger/ledger.ts";
import { inVirtualTime } from "../doubles/firestore-in-virtual-time.ts";
import type { ManualClock } from "../doubles/manual-clock.ts";
import type { AwaitedCalls } from "./awaited-calls.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** What the failure matrix runs on: `npm test` has the embedded ledger, `npm run test:emulators` Firestore. */
    readonly ledger: "embedded" | "firestore";
  }
}

/** The ledger that a world runs on, in the place of the embedded one that the wiring has made. */
export async function ledgerUnderTest(
  clock: ManualClock,
  { during }: AwaitedCalls,
): Promise<(embedded: Ledger) => Ledger> {
  const kind = inject("ledger");
  switch (kind) {
    case "embedded":
      return (embedded) => embedded;
    case "firestore": {
      const { firestoreProject } = await import("../emulators/firestore-emulator.ts");
      const inTime = inVirtualTime(clock, during);
      // Opening takes a while too, and no time of the world.
      const ledger = firestoreProject().ledger({ opening: during, wrap: inTime }, clock);
      return () => ledger;
    }
    default:
      throw new Error(`no ledger to run on: ${kind satisfies never}`);
  }
}
