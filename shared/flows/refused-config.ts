import type { FlowDeps, RefusedConfig } from "./deps.ts";
import { tell } from "./notices.ts";

/** What this process has put on record, so that it does not try again in each sweep. */
const told = new WeakSet<RefusedConfig>();

/** Has people told that the configuration they wrote is not in use. */
export async function tellRefusedConfig(deps: FlowDeps): Promise<void> {
  const refused = deps.refusedConfig?.();
  if (refused === undefined || told.has(refused)) return;
  const { version, problems } = refused;
  const atMs = await deps.ledger.clock();
  const notice = {
    kind: "config-rejected",
    subject: "landfall.yaml",
    sentence: `the version before it stays in use: ${problems.join("; ")}`,
    next: "`landfall config check` tells what is wrong with it.",
    atMs,
  } as const;
  if (await tell(deps, notice, `${version} after ${deps.configHash}`)) told.add(refused);
}
