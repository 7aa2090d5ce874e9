import type { PushMessage } from "../bus/bus.ts";
import { giveUpMs, lagPausesMs, namedLagPausesMs, troublePausesMs } from "../decide/patience.ts";
import type { Observed } from "../decide/push.ts";
import { repositoryOf } from "../domain/push.ts";
import { printReference, type Repository } from "../domain/reference.ts";
import type { Cause } from "../domain/rollout.ts";
import { addressOf } from "../domain/workload.ts";
import type { EventDocument, Stored, Verdict } from "../ledger/ledger.ts";
import { advance } from "./advance.ts";
import { type Budget, type FlowDeps, leftMs } from "./deps.ts";
import { claimEvent, eventKeptMs, maxVerdicts, mergeVerdicts, saveEvent } from "./event.ts";
import { lookAtTagAfter } from "./freezes.ts";
import { tellGivenUp } from "./image-notices.ts";
import { type Observation, type Owed, observe } from "./observe.ts";
import { planTarget } from "./plan-target.ts";
import type { Ticket } from "./plan-writes.ts";
import { tellStoppedPush, unexplainedPush } from "./push-guard.ts";

/** What one pass over a push came to. */
interface Pass {
  readonly event: Omit<EventDocument, "state" | "push" | "heardMs" | "expireMs" | "looks" | "dueMs">;
  readonly tickets: readonly Ticket[];
  /** When to look again; absent: the event is done. */
  readonly again?: number;
  /** Nobody looks again, though what the push wants is not done. */
  readonly givenUp?: boolean;
  readonly owed?: Owed;
}

/**
 * A push, from hearing to verified: where does the tag point, which workloads follow it, what does each need; all of it
 * on record, then carried on as far as the budget goes. Safe to repeat at any point.
 * @param stored the event, where it is on record already
 * @throws LedgerUnavailableError (retryable) only; everything else ends as a verdict or as `waiting`
 */
export async function handlePush(
  deps: FlowDeps,
  message: PushMessage,
  budget: Budget,
  stored?: Stored<"events">,
): Promise<void> {
  const looks = stored?.value.looks ?? 0;
  await passes(deps, message, budget, stored?.rev ?? 0, looks, stored?.value.verdicts);
}

async function passes(
  deps: FlowDeps,
  message: PushMessage,
  budget: Budget,
  firstRev: number,
  firstLooks: number,
  firstVerdicts: readonly Verdict[] = [],
): Promise<void> {
  let rev = firstRev;
  let earlier = firstVerdicts;
  for (let looks = firstLooks; ; looks++) {
    const pass = await look(deps, message, looks);
    if (pass.givenUp) await tellGivenUp(deps, message, pass.event.detail);
    const event = eventOf(message, pass, looks, earlier);
    earlier = event.verdicts;
    const written = await saveEvent(deps, message.event, event, rev, pass.owed);
    await Promise.all(
      pass.tickets.map((ticket) =>
        advance(deps, ticket.document.value.workload, ticket.open.seq, budget, ticket),
      ),
    );
    if (written === undefined || event.dueMs === undefined) return;
    const waitMs = event.dueMs - (await deps.ledger.clock());
    if (waitMs >= leftMs(budget, deps.clock)) return;
    await deps.clock.sleep(Math.max(0, waitMs), budget.stopping);
    if (leftMs(budget, deps.clock) === 0) return;
    const claimed = await claimEvent(deps, message.event, event, written);
    if (claimed === undefined) return;
    rev = claimed;
  }
}

async function look(deps: FlowDeps, message: PushMessage, looks: number): Promise<Pass> {
  const { push, event } = message;
  const repository = repositoryOf(push);
  if (!deps.follows(repository)) {
    return done("not-followed", `${repository} is not matched by \`follow\``);
  }
  if (push.tag === undefined) return done("untagged", "the push names no tag");
  if (deps.rule(repository).ignores(push.tag)) {
    return done("ignored-tag", `\`ignoreTags\` matches ${push.tag}`);
  }
  const image = printReference({ repository, tag: push.tag });
  if (looks === 0) {
    deps.log.write("info", `push heard: ${image}${push.pusher === undefined ? "" : ` by ${push.pusher}`}`, {
      event,
      source: push.source,
    });
  }
  const seen = await observe(deps, repository, push.tag, `${event}~${deps.newId()}`);
  // A registry may take long to say nothing: pauses count from its answer.
  const nowMs = await deps.ledger.clock();
  const owed = seen.kind === "joined" || seen.owed === undefined ? {} : { owed: seen.owed };
  switch (seen.kind) {
    case "joined":
      return done(
        "joined",
        `another delivery is asking the registry (${seen.holder}) and will look once more`,
      );
    case "missing":
      return {
        ...waitOrEnd(deps, nowMs, lagPauseMs(message, looks), "missing", `${image} is not in the registry`),
        ...owed,
      };
    case "unavailable": {
      const spentMs = nowMs - message.heardMs;
      const pauseMs = Math.max(troublePausesMs[looks] ?? troublePausesMs[3], seen.retryAfterMs ?? 0);
      const again = spentMs > giveUpMs ? undefined : pauseMs;
      return { ...waitOrEnd(deps, nowMs, again, seen.reason, seen.message), ...owed };
    }
    case "observed": {
      const { isQueued, ...pass } = await planAll(
        deps,
        message,
        { repository, tag: push.tag, line: "tag", ...seen },
        seen,
        looks,
      );
      // What the ref is due for after a freeze is not done with this look.
      return isQueued ? pass : { ...pass, ...owed };
    }
    default:
      return seen satisfies never;
  }
}

function lagPauseMs({ push }: PushMessage, looks: number): number | undefined {
  return (push.digest === undefined ? lagPausesMs : namedLagPausesMs)[looks];
}

function waitOrEnd(
  deps: FlowDeps,
  nowMs: number,
  pauseMs: number | undefined,
  outcome: string,
  detail: string,
): Pass {
  if (pauseMs === undefined) {
    deps.log.write("alert", `${detail}: given up`, { outcome });
    return { ...done(outcome, detail), givenUp: true };
  }
  deps.log.write("warning", `${detail}; looking again in ${Math.round(pauseMs / 1000)} s`, { outcome });
  return { ...done(outcome, detail), again: nowMs + pauseMs };
}

async function planAll(
  deps: FlowDeps,
  message: PushMessage,
  ref: Observed,
  seen: Observation & { kind: "observed" },
  looks: number,
): Promise<Pass & { readonly isQueued: boolean }> {
  const { push } = message;
  const image = printReference({ repository: ref.repository, tag: ref.tag });
  deps.log.write(
    "info",
    `${image} is ${short(seen.digest)}${seen.movedBack ? ", where it had been before" : ""}`,
    {
      event: message.event,
      digest: seen.digest,
      generation: seen.generation,
    },
  );
  const strange = await unexplainedPush(deps, message, ref, seen);
  const asked = { seen: ref, cause: causeOf(message), heardMs: message.heardMs, observedMs: seen.atMs };
  const perTarget = await Promise.all(
    deps.targets.map((at) =>
      planTarget(deps, at, [strange === undefined ? asked : { ...asked, stops: strange.stops }]),
    ),
  );
  const planned = perTarget.flat();
  const verdicts = planned.map((each) => each.verdict);
  const tickets = planned.flatMap((each) => (each.ticket === undefined ? [] : [each.ticket]));
  const ends = planned.flatMap(({ frozenMs }) => frozenMs ?? []);
  if (ends.length > 0) await lookAtTagAfter(deps, ref.repository, ref.tag, Math.min(...ends));
  const stopped = verdicts.filter(({ reason }) => reason === "guarded");
  for (const [target, [first]] of Map.groupBy(stopped, ({ workload }) => addressOf(workload).target)) {
    await tellStoppedPush(deps, message.event, target, first?.detail ?? "");
  }
  const trouble = verdicts.find((verdict) => verdict.kind === "waiting");
  const retryAfterMs = Math.max(0, ...planned.map((each) => each.retryAfterMs ?? 0));
  // The registry may not have caught up with its own webhook: the digest known before says nothing yet.
  const lag =
    push.source !== "sweep" && !seen.moved && seen.before !== undefined && push.digest !== seen.digest;
  const nowMs = await deps.ledger.clock();
  const pauseMs =
    trouble !== undefined
      ? Math.max(troublePausesMs[looks] ?? troublePausesMs[3], retryAfterMs)
      : lag
        ? lagPauseMs(message, looks)
        : undefined;
  const givenUp = nowMs - message.heardMs > giveUpMs;
  const notes = [
    ...(seen.movedBack ? ["tag-moved-back: the tag points to a digest that it had pointed to earlier"] : []),
    ...(push.digest !== undefined && push.digest !== seen.digest
      ? [`the payload named ${push.digest}; the registry's answer counts`]
      : []),
    ...(trouble?.detail === undefined ? [] : [trouble.detail]),
  ];
  return {
    event: {
      outcome:
        trouble !== undefined
          ? (trouble.reason ?? "waiting")
          : stopped.length > 0
            ? "guarded"
            : lag
              ? "unchanged"
              : "observed",
      ...(strange === undefined ? {} : { unexplained: true }),
      ...(notes.length === 0 ? {} : { detail: notes.join("; ") }),
      digest: seen.digest,
      generation: seen.generation,
      observedMs: seen.atMs,
      verdicts,
      more: 0,
    },
    tickets,
    ...(pauseMs === undefined || givenUp ? {} : { again: nowMs + pauseMs }),
    givenUp: givenUp && trouble !== undefined,
    isQueued: ends.length > 0,
  };
}

function causeOf({ push, event }: PushMessage): Cause {
  const { pusher, source } = push;
  return {
    kind: source === "sweep" ? "sweep" : "push",
    event,
    ...(pusher === undefined ? {} : { by: pusher }),
  };
}

function eventOf(
  message: PushMessage,
  pass: Pass,
  looks: number,
  earlier: readonly Verdict[],
): EventDocument {
  const verdicts = mergeVerdicts(earlier, pass.event.verdicts);
  const hasWork = verdicts.some(({ kind }) => kind === "planned" || kind === "joined");
  return {
    ...pass.event,
    ...(hasWork && pass.event.outcome === "unchanged" ? { outcome: "observed" } : {}),
    verdicts: verdicts.slice(0, maxVerdicts),
    more: Math.max(0, verdicts.length - maxVerdicts),
    state: pass.again === undefined ? "done" : "waiting",
    push: message.push,
    heardMs: message.heardMs,
    looks,
    ...(pass.again === undefined ? {} : { dueMs: pass.again }),
    expireMs: message.heardMs + eventKeptMs,
  };
}

function done(outcome: string, detail: string): Pass {
  return { event: { outcome, detail, verdicts: [], more: 0 }, tickets: [] };
}

function short(digest: string): string {
  return digest.slice(0, "sha256:".length + 12);
}

/** A look at a tag that nobody pushed just now: unfinished work of somebody who died. */
export function sweepPush(event: string, repository: Repository, tag: string, nowMs: number): PushMessage {
  const slash = repository.indexOf("/");
  return {
    kind: "push",
    event,
    heardMs: nowMs,
    push: {
      source: "sweep",
      registry: repository.slice(0, slash),
      repository: repository.slice(slash + 1),
      tag,
    },
  };
}
