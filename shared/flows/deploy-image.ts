import { channelOf, isDelayed, wantedOn, withDelay } from "../decide/promotion.ts";
import type { Observed } from "../decide/push.ts";
import type { ImageRule } from "../decide/rules.ts";
import type { Cause } from "../domain/rollout.ts";
import type { Built, ImageDocument } from "../ledger/image-document.ts";
import type { Stored } from "../ledger/ledger.ts";
import { advance } from "./advance.ts";
import type { Budget, FlowDeps, FlowTarget } from "./deps.ts";
import { addVerdicts } from "./event.ts";
import { loadImage, saveImage } from "./image.ts";
import type { Planned } from "./plan.ts";
import { planTarget } from "./plan-target.ts";

/** What an image asks of workloads that do not have their plan yet. */
interface Owed {
  readonly seen: Observed;
  readonly cause: Cause;
  readonly targets?: readonly string[];
  /** When the build, or the order, was heard, ms. */
  readonly heardMs: number;
  readonly acceptedMs: number;
}

/**
 * Plans what the head and the channels of an image want of workloads, once each target's list is read, and carries it
 * on. What could not be asked stays owed, for the sweep.
 */
export async function deployImage(deps: FlowDeps, first: Stored<"images">, budget: Budget): Promise<void> {
  const rule = deps.rule(first.value.repository);
  const owed = owedOf(first.value, rule);
  if (owed.length === 0 || isDelayed(first.value, await deps.ledger.clock())) return;
  const planned = await Promise.all(deps.targets.map((at) => planOn(deps, at, owed, first.value.builds)));
  const all = planned.flat();
  for (const event of new Set(owed.map(({ cause }) => cause.event))) {
    const own = owed.filter(({ cause }) => cause.event === event).map(({ seen }) => seen);
    await addVerdicts(
      deps,
      event,
      all.filter(({ seen }) => own.includes(seen)).map(({ verdict }) => verdict),
    );
  }
  const open = all.filter((each) => each.overtaken === true || each.verdict.kind === "waiting");
  const waiting = open.filter((each) => each.overtaken === undefined);
  const done = owed.filter(({ seen }) => !open.some((each) => each.seen === seen));
  const retryAfterMs = Math.max(0, ...waiting.map((each) => each.retryAfterMs ?? 0));
  const frozenMs = firstOf(all.flatMap((each) => each.frozenMs ?? []));
  await settle(deps, first, done, waiting.length === 0 ? undefined : retryAfterMs, frozenMs);
  const tickets = all.flatMap(({ ticket }) => (ticket === undefined ? [] : [ticket]));
  await Promise.all(
    tickets.map((ticket) => advance(deps, ticket.document.value.workload, ticket.open.seq, budget, ticket)),
  );
}

async function planOn(
  deps: FlowDeps,
  at: FlowTarget,
  owed: readonly Owed[],
  builds: readonly Built[],
): Promise<readonly (Planned & { readonly seen: Observed })[]> {
  const here = owed.filter(({ targets }) => targets?.includes(at.target.name) ?? true);
  if (here.length === 0) return [];
  return planTarget(
    deps,
    at,
    here.map(({ seen, cause, heardMs, acceptedMs }) => ({
      seen,
      cause,
      heardMs,
      observedMs: acceptedMs,
      builds,
    })),
  );
}

function owedOf(image: ImageDocument, rule: ImageRule): readonly Owed[] {
  const { repository, head } = image;
  const owed: Owed[] = [];
  if (head !== undefined && head.generation > image.planned) {
    const { tag, digest, generation, commit, acceptedMs, heardMs = acceptedMs } = head;
    owed.push({
      seen: { repository, tag, digest, generation, line: "head", commit },
      cause: causeOf(head),
      heardMs,
      acceptedMs,
    });
  }
  for (const channel of rule.channels) {
    const { tag, targets } = channel;
    const { promoted, promotedMs = 0, generation, planned } = channelOf(image, tag);
    if (promoted === undefined || generation <= planned) continue;
    // What is to be replaced at once is planned for nobody.
    if (wantedOn(image, channel) !== undefined) continue;
    const { digest, commit } = promoted;
    owed.push({
      seen: {
        repository,
        tag,
        digest,
        generation,
        line: "channel",
        ...(commit === undefined ? {} : { commit }),
      },
      cause: causeOf(promoted),
      ...(targets === undefined ? {} : { targets }),
      heardMs: promoted.heardMs ?? promotedMs,
      acceptedMs: promotedMs,
    });
  }
  return owed;
}

function causeOf({ event, by }: Built): Cause {
  return by === undefined ? { kind: "build", event } : { kind: "promote", event, by };
}

/**
 * Puts on record what has its plan. What was promoted meanwhile has not.
 * @param retryAfterMs how long the rest has to wait at least; absent: there is none that could not be planned for
 * @param frozenMs when a freeze ends that kept some workloads from a plan: then all is planned anew
 */
async function settle(
  deps: FlowDeps,
  first: Stored<"images">,
  done: readonly Owed[],
  retryAfterMs: number | undefined,
  frozenMs: number | undefined,
): Promise<void> {
  if (done.length === 0 && retryAfterMs === undefined) return;
  for (let stored = first; ; stored = await loadImage(deps, first.value.repository)) {
    const channels = { ...stored.value.channels };
    let { planned } = stored.value;
    for (const { seen } of done) {
      if (seen.line === "head") planned = Math.max(planned, seen.generation);
      const channel = seen.line === "channel" ? channels[seen.tag] : undefined;
      if (channel !== undefined) {
        channels[seen.tag] = { ...channel, planned: Math.max(channel.planned, seen.generation) };
      }
    }
    const thaw = firstOf([stored.value.frozenMs, frozenMs].flatMap((each) => each ?? []));
    const value = {
      ...stored.value,
      planned,
      channels,
      ...(thaw === undefined ? {} : { frozenMs: thaw }),
    };
    const { delay: _, ...undelayed } = value;
    const next =
      retryAfterMs === undefined ? undelayed : withDelay(value, await deps.ledger.clock(), retryAfterMs);
    if ((await saveImage(deps, "image.planned", stored, next)) !== undefined) return;
  }
}

function firstOf(times: readonly number[]): number | undefined {
  return times.length === 0 ? undefined : Math.min(...times);
}
