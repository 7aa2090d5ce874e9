import type { Stored } from "../ledger/ledger.ts";
import { handleBuild } from "./build.ts";
import type { Budget, FlowDeps } from "./deps.ts";
import { claimEvent } from "./event.ts";
import { hear } from "./hear.ts";
import { askAgain } from "./reconcile-order.ts";

/** Looks again at an event whose time has come, unless somebody else does. */
export async function resumeEvent(deps: FlowDeps, stored: Stored<"events">, budget: Budget): Promise<void> {
  const { id, value } = stored;
  const { push, build, heardMs } = value;
  if (value.reconcile !== undefined) return askAgain(deps, stored);
  if (push === undefined && build === undefined) return;
  const rev = await claimEvent(deps, id, value, stored.rev);
  if (rev === undefined) return;
  const claimed = { ...stored, rev, value: { ...value, looks: value.looks + 1 } };
  if (build !== undefined) return handleBuild(deps, { event: id, heardMs, build }, budget, claimed);
  if (push !== undefined) return hear(deps, { kind: "push", event: id, heardMs, push }, budget, claimed);
}
