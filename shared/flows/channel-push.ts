import type { PushMessage } from "../bus/bus.ts";
import { namedLagPausesMs } from "../decide/patience.ts";
import { channelOf } from "../decide/promotion.ts";
import { repositoryOf } from "../domain/push.ts";
import type { Digest, Repository } from "../domain/reference.ts";
import type { Channel } from "../ledger/image-document.ts";
import type { EventDocument, Stored } from "../ledger/ledger.ts";
import { advanceImage } from "./advance-image.ts";
import type { Budget, FlowDeps } from "./deps.ts";
import { eventKeptMs, saveEvent } from "./event.ts";
import { loadImage, saveChannel } from "./image.ts";
import { leaseMs } from "./lease.ts";
import { promote } from "./promote.ts";

const maxRaces = 20;
/** A report that waits for the look at the tag leaves that to the sweep, which would take both at once. */
const afterLookMs = 30_000;
/** Promotions may follow each other, and each puts the look off. */
const maxVagueLooks = 5;

interface Pass {
  readonly outcome: "not-followed" | "not-promoted" | "own-promotion" | "conflict" | "unchanged";
  readonly detail?: string;
  readonly pauseMs?: number;
}

/**
 * A registry reports a push of a tag that Landfall owns. Our own comes back like that; anybody else's is a conflict.
 * What workloads on it want does not change by it.
 */
export async function handleChannelPush(
  deps: FlowDeps,
  message: PushMessage,
  budget: Budget,
  stored?: Stored<"events">,
): Promise<void> {
  const looks = stored?.value.looks ?? 0;
  const pass = await look(deps, message, looks);
  const nowMs = await deps.ledger.clock();
  const { outcome, detail, pauseMs } = pass;
  const event: EventDocument = {
    state: pauseMs === undefined ? "done" : "waiting",
    push: message.push,
    heardMs: message.heardMs,
    outcome,
    ...(detail === undefined ? {} : { detail }),
    verdicts: [],
    more: 0,
    looks,
    ...(pauseMs === undefined ? {} : { dueMs: nowMs + pauseMs }),
    expireMs: message.heardMs + eventKeptMs,
  };
  await saveEvent(deps, message.event, event, stored?.rev ?? 0);
  if (outcome !== "not-followed" && outcome !== "not-promoted") {
    await advanceImage(deps, repositoryOf(message.push), budget);
  }
}

async function look(deps: FlowDeps, { push }: PushMessage, looks: number): Promise<Pass> {
  const repository = repositoryOf(push);
  const { tag = "", digest } = push;
  if (!deps.follows(repository)) {
    return { outcome: "not-followed", detail: `${repository} is not matched by \`follow\`` };
  }
  const channel = await loadChannel(deps, repository, tag);
  if (channel.promoted === undefined && channel.intent === undefined) {
    return {
      outcome: "not-promoted",
      detail: "Landfall has promoted nothing to it yet, and left it as it is",
    };
  }
  if (digest !== undefined && [channel.promoted?.digest, channel.intent?.to.digest].includes(digest)) {
    return { outcome: "own-promotion" };
  }
  if (digest === undefined) return lookLater(deps, repository, tag, looks);
  const seen = await checked(deps, repository, tag, 0);
  if (seen.conflict !== undefined) return conflicting(seen.conflict.found);
  const pauseMs = namedLagPausesMs[looks];
  if (pauseMs === undefined) return { outcome: "own-promotion" };
  return { outcome: "unchanged", detail: `the registry does not show ${digest} there yet`, pauseMs };
}

function conflicting(found: Digest | undefined): Pass {
  return { outcome: "conflict", detail: `somebody else moved it to ${found ?? "nowhere"}` };
}

/**
 * A report without a digest is our own, most likely, and each promotion has its look at the tag a little later anyway:
 * that one tells.
 */
async function lookLater(deps: FlowDeps, repository: Repository, tag: string, looks: number): Promise<Pass> {
  const isFirst = looks === 0;
  const seen = isFirst
    ? await checked(deps, repository, tag, leaseMs)
    : await promoted(deps, repository, tag);
  if (seen.conflict !== undefined) return conflicting(seen.conflict.found);
  if (seen.checkMs === undefined || looks >= maxVagueLooks) return { outcome: "own-promotion" };
  const pauseMs = Math.max(0, seen.checkMs - (await deps.ledger.clock())) + afterLookMs;
  const detail = "the report names no digest: whose it is, the next look at the tag tells";
  return { outcome: "unchanged", detail, pauseMs };
}

/** The channel once its tag was looked at, or is to be at the latest after `withinMs`. */
async function checked(
  deps: FlowDeps,
  repository: Repository,
  tag: string,
  withinMs: number,
): Promise<Channel> {
  for (let race = 0; race < maxRaces; race++) {
    const stored = await loadImage(deps, repository);
    const channel = channelOf(stored.value, tag);
    if (channel.conflict !== undefined) return channel;
    const latestMs = (await deps.ledger.clock()) + withinMs;
    if (channel.checkMs !== undefined && channel.checkMs <= latestMs) break;
    const saved = await saveChannel(deps, "image.check", stored, tag, { ...channel, checkMs: latestMs });
    if (saved !== undefined) break;
  }
  return promoted(deps, repository, tag);
}

/** The channel after everything that is due to it now. */
async function promoted(deps: FlowDeps, repository: Repository, tag: string): Promise<Channel> {
  const rule = deps.rule(repository).channels.find((each) => each.tag === tag);
  if (rule !== undefined) await promote(deps, repository, rule);
  return loadChannel(deps, repository, tag);
}

async function loadChannel(deps: FlowDeps, repository: Repository, tag: string): Promise<Channel> {
  return channelOf((await loadImage(deps, repository)).value, tag);
}
