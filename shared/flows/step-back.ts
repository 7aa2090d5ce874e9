import { type Budget, type FlowDeps, leftMs } from "./deps.ts";
import { graceMs, letEnd } from "./lease.ts";
import { isItsTurn, wakeNext } from "./places.ts";
import { plannedDueMs, type Ticket } from "./plan-writes.ts";
import { save } from "./save.ts";

/** How long an unfenced target is left alone after a write whose answer was lost, ms. */
const unknownPauseMs = 20_000;

/** Too many are under way: step back at once, and look for a free place a little later. */
export async function giveWay(
  deps: FlowDeps,
  ticket: Ticket,
  target: string,
  budget: Budget,
): Promise<Ticket | undefined> {
  const waiting = await stepBack(deps, ticket, "waiting for a free place on the target", plannedDueMs);
  if (waiting === undefined) return undefined;
  for (let pauseMs = 100; pauseMs < leftMs(budget, deps.clock); pauseMs *= 2) {
    await deps.clock.sleep(pauseMs * (0.5 + deps.random()));
    if (await isItsTurn(deps, target, waiting.document.id)) return waiting;
  }
  return undefined;
}

/** The target cannot be written to now: the sweep tries again, later each time. */
export async function retreat(
  deps: FlowDeps,
  ticket: Ticket,
  message: string,
  retryAfterMs = 0,
): Promise<undefined> {
  const pauseMs = Math.max(retryAfterMs, Math.min(60_000, 5_000 * 2 ** (ticket.open.attempts - 1)));
  deps.log.write("warning", `${ticket.document.id}: ${message}; trying again in ${pauseMs / 1000} s`, {
    workload: ticket.document.id,
    seq: ticket.open.seq,
  });
  if ((await stepBack(deps, ticket, message, pauseMs, true)) !== undefined) {
    await wakeNext(deps, ticket.document.value.target);
  }
  return undefined;
}

async function stepBack(
  deps: FlowDeps,
  ticket: Ticket,
  note: string,
  pauseMs: number,
  retry = false,
): Promise<Ticket | undefined> {
  const dueMs = (await deps.ledger.clock()) + pauseMs;
  const { lease: _, ...rest } = ticket.open;
  const until = retry ? { retryMs: dueMs } : {};
  return save(deps, "workload.yield", ticket, { ...rest, state: "planned", note, dueMs, ...until });
}

/** Without a fence a second write could start every task twice: leave it alone until the first has surely ended. */
export async function waitForUnknown(deps: FlowDeps, ticket: Ticket, message: string): Promise<undefined> {
  const nowMs = await deps.ledger.clock();
  const dueMs = nowMs + unknownPauseMs;
  const holder = ticket.open.lease?.holder ?? deps.newId();
  const untilMs = dueMs - graceMs;
  letEnd(deps, holder);
  const note = `no answer whether the write took effect (${message}); reading again before another one`;
  await save(deps, "workload.yield", ticket, { ...ticket.open, lease: { holder, untilMs }, note, dueMs });
  return undefined;
}
