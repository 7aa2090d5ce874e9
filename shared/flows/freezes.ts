import type { Repository } from "../domain/reference.ts";
import type { Wanted } from "../domain/rollout.ts";
import { refId } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";
import { finish } from "./finish.ts";
import { loadImage, saveImage } from "./image.ts";
import { wakeNext } from "./places.ts";
import type { Ticket } from "./plan-writes.ts";
import { record } from "./record.ts";
import { save } from "./save.ts";

/** When the freezes end that keep a rollout from being written now, ms; `undefined`: nothing does. What goes back is never kept. */
export async function freezeOver(deps: FlowDeps, { document, open }: Ticket): Promise<number | undefined> {
  if (open.cause.kind === "rollback") return undefined;
  return deps.frozenUntil(document.value.target, await deps.ledger.clock());
}

/**
 * A rollout that a freeze has caught before it was written. What a person chose waits; of everything else a wish to look
 * is left, so that what is wanted when the freeze ends is deployed, and nothing before it.
 */
export async function leaveFrozen(deps: FlowDeps, ticket: Ticket, endMs: number): Promise<undefined> {
  const { lease: _, ...open } = ticket.open;
  const note = `frozen until ${printTime(endMs)}`;
  if (isChosen(ticket)) {
    const waiting = { ...open, state: "planned", note, retryMs: endMs, dueMs: endMs } as const;
    const saved = await save(deps, "workload.yield", ticket, waiting);
    if (saved !== undefined) await wakeNext(deps, ticket.document.value.target);
    return undefined;
  }
  await lookAfter(deps, open.to, endMs);
  await finish(deps, ticket, { state: "superseded", reason: note });
  return undefined;
}

/** A freeze leaves a wish to look, not a digest: it is due when it ends, once, however many pushes come until then. */
export async function lookAtTagAfter(
  deps: FlowDeps,
  repository: Repository,
  tag: string,
  endMs: number,
): Promise<void> {
  const id = refId(repository, tag);
  for (;;) {
    const stored = await deps.ledger.get("refs", id);
    if (stored === undefined || stored.value.dueMs === endMs) return;
    const value = { ...stored.value, dueMs: endMs };
    const write = { collection: "refs", id, expect: stored.rev, value } as const;
    if ((await record(deps, "ref.queued", [write])) === "written") return;
  }
}

/** In words, for a person. */
export function printTime(atMs: number): string {
  return new Date(atMs).toISOString();
}

async function lookAfter(deps: FlowDeps, to: Wanted, endMs: number): Promise<void> {
  for (const { repository, tag, line } of Object.values(to)) {
    if (line === "head" || line === "channel") await planAfter(deps, repository, endMs);
    else await lookAtTagAfter(deps, repository, tag, endMs);
  }
}

async function planAfter(deps: FlowDeps, repository: Repository, endMs: number): Promise<void> {
  for (;;) {
    const stored = await loadImage(deps, repository);
    const { frozenMs = endMs } = stored.value;
    const value = { ...stored.value, frozenMs: Math.min(frozenMs, endMs) };
    if (stored.value.frozenMs === value.frozenMs) return;
    if ((await saveImage(deps, "image.planned", stored, value)) !== undefined) return;
  }
}

/** A person named what is to run, or told a full run to take over what somebody changed: no later look would find that. */
function isChosen({ document, open }: Ticket): boolean {
  const { kind, by } = open.cause;
  return kind === "deploy" || document.value.pin !== undefined || (kind === "drift" && by !== undefined);
}
