import { decideBlind, decideVerify, noMemory, type VerifyDecision } from "../decide/verify.ts";
import { shows, type Wanted } from "../domain/rollout.ts";
import { isTargetTrouble, messageOf, retryAfterOf } from "../errors.ts";
import type { VerifyMemory } from "../ledger/ledger.ts";
import type { Look } from "../targets/target.ts";
import { type Budget, type FlowDeps, type FlowTarget, isGlance, leftMs } from "./deps.ts";
import { finish } from "./finish.ts";
import type { Ticket } from "./plan-writes.ts";
import { isThere } from "./roll-back.ts";
import { save } from "./save.ts";

const pollMs = 500;

/**
 * Looks at a rollout until it is decided or the budget is spent; what was seen is put on record only then, and another
 * invocation is asked to go on. With no budget it looks once and asks nobody.
 * @returns the rollout that undoes this one, when it failed
 */
export async function verify(
  deps: FlowDeps,
  ticket: Ticket,
  at: FlowTarget,
  budget: Budget,
): Promise<Ticket | undefined> {
  const { open, document } = ticket;
  const facts = {
    seq: open.seq,
    to: open.to,
    applyingMs: open.times.applying ?? open.times.planned,
    acceptedMs: open.times.accepted ?? open.times.planned,
    fences: at.target.capabilities.fences,
  };
  const glance = isGlance(budget);
  const before = open.verify ?? noMemory;
  let memory = before;
  let note = open.note;
  let dueMs = open.dueMs;
  let isBlind = false;
  // A clock that is set meanwhile neither ends a window early nor makes time be up.
  const startMs = (await deps.ledger.clock()) - deps.clock.monotonic();
  for (;;) {
    const seen = await lookAt(deps, at, document.value.name);
    const nowMs = startMs + deps.clock.monotonic();
    let pauseMs = pollMs;
    isBlind = seen.kind === "blind";
    if (seen.kind === "blind") {
      memory = decideBlind(memory, nowMs);
      note = seen.message;
      pauseMs = Math.max(pollMs, seen.retryAfterMs);
      if (seen.retryAfterMs > 0) dueMs = nowMs + seen.retryAfterMs;
    } else {
      const decision = decideVerify(facts, memory, seen.look, nowMs, deps.verify);
      if (decision.kind !== "wait") {
        const { kind: state, ...rest } = await blamed(deps, open.to, decision);
        const stands = seen.look !== undefined && shows(seen.look.workload, open.to);
        return finish(deps, ticket, { state, ...rest, stands });
      }
      memory = decision.memory;
      note = decision.note;
    }
    if (leftMs(budget, deps.clock) <= pauseMs) break;
    await deps.clock.sleep(pauseMs, budget.stopping);
  }
  const next = { ...open, verify: memory, dueMs, ...(note === undefined ? {} : { note }) };
  const kept =
    (same(before, memory) && dueMs === open.dueMs) || (await save(deps, "workload.remember", ticket, next));
  // A target that cannot be asked is not worth one invocation after the other: the sweep looks again.
  if (glance || isBlind || kept === undefined) return undefined;
  const message = { kind: "continue", workload: document.value.workload, seq: open.seq } as const;
  await deps.recorder.step("bus.continue", () => deps.bus.publish([message]));
  return undefined;
}

/** Whatever the target says, an image that is in its registry no more is to blame itself. */
async function blamed<T extends Exclude<VerifyDecision, { kind: "wait" }>>(
  deps: FlowDeps,
  to: Wanted,
  decision: T,
): Promise<T> {
  if (decision.kind !== "failed" || decision.blame !== "environment") return decision;
  const guilty: string[] = [];
  for (const [name, wanted] of Object.entries(to)) {
    if (!(await isThere(deps, { [name]: wanted }))) guilty.push(name);
  }
  if (guilty.length === 0) return decision;
  const reason = `${decision.reason}; ${guilty.join(", ")}: the registry does not have the image any more`;
  return { ...decision, reason, blame: "image", guilty };
}

type Seen =
  | { readonly kind: "seen"; readonly look: Look | undefined }
  | { readonly kind: "blind"; readonly message: string; readonly retryAfterMs: number };

async function lookAt(deps: FlowDeps, at: FlowTarget, name: string): Promise<Seen> {
  try {
    return { kind: "seen", look: await deps.recorder.step("target.look", () => at.target.look(name)) };
  } catch (error) {
    if (!isTargetTrouble(error)) throw error;
    return { kind: "blind", message: messageOf(error), retryAfterMs: retryAfterOf(error) ?? 0 };
  }
}

function same(one: VerifyMemory, other: VerifyMemory): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
