import { newChannel } from "../decide/promotion.ts";
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
  readonly acceptedMs: number;
}

/**
 * Plans what the head and the channels of an image want of workloads, once each target's list is read, and carries it
 * on. What could not be asked stays owed, for the sweep.
 */
export async function deployImage(deps: FlowDeps, first: Stored<"images">, budget: Budget): Promise<void> {
  const rule = deps.rule(first.value.repository);
  const owed = owedOf(first.value, rule);
  if (owed.length === 0) return;
  const planned = await Promise.all(deps.targets.map((at) => planOn(deps, at, owed, first.value.builds)));
  const all = planned.flat();
  for (const { cause } of owed) {
    const own = all.filter((each) => each.event === cause.event).map((each) => each.verdict);
    await addVerdicts(deps, cause.event, own);
  }
  const ends = all.flatMap(({ frozenMs: each }) => each ?? []);
  const frozenMs = ends.length === 0 ? undefined : Math.min(...ends);
  if (!all.some(({ verdict }) => verdict.kind === "waiting")) await settle(deps, first, owed, frozenMs);
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
): Promise<readonly (Planned & { readonly event: string })[]> {
  const here = owed.filter(({ targets }) => targets?.includes(at.target.name) ?? true);
  if (here.length === 0) return [];
  const planned = await planTarget(
    deps,
    at,
    here.map(({ seen, cause, acceptedMs }) => ({
      seen,
      cause,
      heardMs: acceptedMs,
      observedMs: acceptedMs,
      builds,
    })),
  );
  return planned;
}

function owedOf(image: ImageDocument, rule: ImageRule): readonly Owed[] {
  const { repository, head } = image;
  const owed: Owed[] = [];
  if (head !== undefined && head.generation > image.planned) {
    const { tag, digest, generation, commit, acceptedMs } = head;
    owed.push({
      seen: { repository, tag, digest, generation, line: "head", commit },
      cause: causeOf(head),
      acceptedMs,
    });
  }
  for (const { tag, targets } of rule.channels) {
    const { promoted, promotedMs = 0, generation, planned } = image.channels[tag] ?? newChannel;
    if (promoted === undefined || generation <= planned) continue;
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
      acceptedMs: promotedMs,
    });
  }
  return owed;
}

function causeOf({ event, by }: Built): Cause {
  return by === undefined ? { kind: "build", event } : { kind: "promote", event, by };
}

/** Everything that was owed has its plan. What was promoted meanwhile is not. */
async function settle(
  deps: FlowDeps,
  first: Stored<"images">,
  owed: readonly Owed[],
  frozenMs: number | undefined,
): Promise<void> {
  for (let stored = first; ; stored = await loadImage(deps, first.value.repository)) {
    const channels = { ...stored.value.channels };
    let planned = stored.value.planned;
    for (const { seen } of owed) {
      if (seen.line === "head") planned = Math.max(planned, seen.generation);
      const channel = seen.line === "channel" ? channels[seen.tag] : undefined;
      if (channel !== undefined) {
        channels[seen.tag] = { ...channel, planned: Math.max(channel.planned, seen.generation) };
      }
    }
    const { frozenMs: _, ...rest } = stored.value;
    const value = { ...rest, planned, channels, ...(frozenMs === undefined ? {} : { frozenMs }) };
    if ((await saveImage(deps, "image.planned", stored, value)) !== undefined) return;
  }
}
