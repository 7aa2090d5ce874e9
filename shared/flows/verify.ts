import { decideBlind, decideVerify } from "../decide/verify.ts";
import { TargetDeniedError, TargetUnavailableError } from "../errors.ts";
import type { VerifyMemory } from "../ledger/ledger.ts";
import type { Look } from "../targets/target.ts";
import { type Budget, type FlowDeps, type FlowTarget, isGlance, leftMs } from "./deps.ts";
import { finish } from "./finish.ts";
import type { Ticket } from "./plan.ts";
import { save } from "./save.ts";

const pollMs = 500;

/**
 * Looks at a rollout until it is decided or the budget is spent; what was seen is put on record only then, and another
 * invocation is asked to go on. With no budget it looks once and asks nobody.
 */
export async function verify(
  deps: FlowDeps,
  ticket: Ticket,
  at: FlowTarget,
  budget: Budget,
): Promise<undefined> {
  const { open, document } = ticket;
  const facts = {
    seq: open.seq,
    to: open.to,
    applyingMs: open.times.applying ?? open.times.planned,
    fences: at.target.capabilities.fences,
  };
  const glance = isGlance(budget);
  const before = open.verify ?? { tasks: [], replaced: 0, blindMs: 0 };
  let memory = before;
  for (;;) {
    const seen = await lookAt(deps, at, document.value.name);
    const nowMs = await deps.ledger.clock();
    if (seen.kind === "blind") memory = decideBlind(memory, nowMs);
    else {
      const decision = decideVerify(facts, memory, seen.look, nowMs, deps.verify);
      if (decision.kind !== "wait") {
        const { kind, reason } = decision;
        const blame = decision.kind === "failed" ? { blame: decision.blame } : {};
        await finish(deps, ticket, { state: kind, reason, ...blame, stands: shows(seen.look, open.to) });
        return;
      }
      memory = decision.memory;
    }
    if (leftMs(budget, deps.clock) <= pollMs) break;
    await deps.clock.sleep(pollMs, budget.stopping);
  }
  const kept =
    same(before, memory) || (await save(deps, "workload.remember", ticket, { ...open, verify: memory }));
  if (glance || kept === undefined) return;
  const message = { kind: "continue", workload: document.value.workload, seq: open.seq } as const;
  await deps.recorder.step("bus.continue", () => deps.bus.publish([message]));
}

type Seen = { readonly kind: "seen"; readonly look: Look | undefined } | { readonly kind: "blind" };

async function lookAt(deps: FlowDeps, at: FlowTarget, name: string): Promise<Seen> {
  try {
    return { kind: "seen", look: await deps.recorder.step("target.look", () => at.target.look(name)) };
  } catch (error) {
    if (error instanceof TargetUnavailableError || error instanceof TargetDeniedError)
      return { kind: "blind" };
    throw error;
  }
}

function shows(look: Look | undefined, to: Ticket["open"]["to"]): boolean {
  return Object.entries(to).every(
    ([name, wanted]) =>
      look?.workload.containers.find((container) => container.name === name)?.reference?.digest ===
      wanted.digest,
  );
}

function same(one: VerifyMemory, other: VerifyMemory): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
