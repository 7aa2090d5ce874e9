import {
  type Bringing,
  channelOf,
  judgeFound,
  nextStep,
  withConflict,
  withIntent,
  withResult,
} from "../decide/promotion.ts";
import type { ChannelRule } from "../decide/rules.ts";
import { type Digest, printReference, type Repository } from "../domain/reference.ts";
import { messageOf, RegistryResponseError, retryAfterOf } from "../errors.ts";
import type { Channel } from "../ledger/image-document.ts";
import type { Stored } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";
import { loadImage, saveChannel } from "./image.ts";
import { conflictNotice } from "./image-notices.ts";
import { graceMs, holds, isFree, leaseMs, letEnd, newLease } from "./lease.ts";
import { registryReason } from "./observe.ts";
import type { FaultPoint } from "./recorder.ts";

const maxRounds = 20;

/** What is promoted, of which image, on which channel. */
interface Place {
  readonly repository: Repository;
  readonly rule: ChannelRule;
}

/**
 * Brings a channel's tag to where it is to be: the intent first, then the manifest's own bytes under the tag, then the
 * result. Safe to call from anywhere at any time; returns when there is nothing to do, or nothing that can be done now.
 */
export async function promote(deps: FlowDeps, repository: Repository, rule: ChannelRule): Promise<void> {
  const place = { repository, rule };
  for (let round = 0; round < maxRounds; round++) {
    const stored = await loadImage(deps, repository);
    const nowMs = await deps.ledger.clock();
    const step = nextStep(stored.value, rule, nowMs, (lease) => isFree(deps, lease, false, nowMs));
    switch (step.kind) {
      case "rest":
      case "busy":
        return;
      case "check":
        if ((await check(deps, place, stored)) === "stop") return;
        break;
      case "promote":
        if ((await bring(deps, place, stored, step.bring)) === "stop") return;
        break;
      default:
        return step satisfies never;
    }
  }
}

/** Whether to look at the image again, or to leave it to the sweep or to a person. */
type Next = "again" | "stop";

async function bring(
  deps: FlowDeps,
  place: Place,
  before: Stored<"images">,
  bringing: Bringing,
): Promise<Next> {
  const { repository, rule } = place;
  const lease = newLease(deps, await deps.ledger.clock());
  const intended = withIntent(channelOf(before.value, rule.tag), bringing, lease);
  const stored = await saveChannel(deps, "image.intent", before, rule.tag, intended);
  const { intent } = intended;
  if (stored === undefined || intent === undefined) return "again";
  const { to } = intent;
  let sent: Digest | undefined;
  let found: Digest | undefined;
  try {
    found = await digestAt(deps, place);
    const verdict = judgeFound(intended, intent, found);
    if (verdict === "conflict") return conflict(deps, place, stored, lease.holder, found);
    if (verdict === "write") {
      const manifest = await deps.recorder.step("registry.get", () =>
        deps.registry.get(repository, to.digest),
      );
      if (manifest === undefined) throw new RegistryResponseError(`${repository}@${to.digest} is gone`);
      if (!holds(deps, lease)) return "stop";
      sent = to.digest;
      await deps.recorder.step("registry.put", () => deps.registry.put(repository, rule.tag, manifest));
    }
  } catch (error) {
    const reason = registryReason(error);
    if (reason === undefined) throw error;
    return trouble(deps, place, stored, { holder: lease.holder, sent }, error, reason);
  }
  const turn = { holder: lease.holder, sent };
  const end = await settle(deps, place, stored, turn, (channel, nowMs) => ({
    point: "image.result",
    channel: withResult(channel, channel.intent ?? intent, found, nowMs, nowMs + leaseMs + graceMs),
  }));
  if (end === "overtaken") return "again";
  const image = printReference({ repository, tag: rule.tag });
  deps.log.write("notice", `${image} is ${to.tag} now${to.by === undefined ? "" : `, for ${to.by}`}`, {
    digest: to.digest,
    event: to.event,
  });
  return "again";
}

/** The tag once more, some time after it was written: a write that came late is put right, a foreign one is told. */
async function check(deps: FlowDeps, place: Place, stored: Stored<"images">): Promise<Next> {
  const { repository, rule } = place;
  const channel = channelOf(stored.value, rule.tag);
  let found: Digest | undefined;
  try {
    found = await digestAt(deps, place);
  } catch (error) {
    const reason = registryReason(error);
    if (reason === undefined) throw error;
    const checkMs = (await deps.ledger.clock()) + Math.max(leaseMs, retryAfterOf(error) ?? 0);
    await saveChannel(deps, "image.check", stored, rule.tag, { ...channel, checkMs });
    return "stop";
  }
  const { checkMs: _, ...rest } = channel;
  const { promoted } = channel;
  if (promoted === undefined || found === promoted.digest) {
    await saveChannel(deps, "image.check", stored, rule.tag, { ...rest, unsettled: [] });
    return "again";
  }
  if (found !== undefined && channel.unsettled.includes(found)) {
    deps.log.write("warning", `${repository}:${rule.tag} was moved back by a late write of ours`, {
      digest: found,
    });
    await saveChannel(deps, "image.check", stored, rule.tag, {
      ...rest,
      asked: { ...promoted, head: channel.head },
    });
    return "again";
  }
  const left = await saveConflict(
    deps,
    place,
    stored,
    withConflict(channel, found, await deps.ledger.clock()),
  );
  if (left !== undefined) alert(deps, place, found);
  return "again";
}

async function conflict(
  deps: FlowDeps,
  place: Place,
  stored: Stored<"images">,
  holder: string,
  found: Digest | undefined,
): Promise<Next> {
  await settle(deps, place, stored, { holder, sent: undefined }, (channel, nowMs) => ({
    point: "image.conflict",
    channel: withConflict(channel, found, nowMs),
  }));
  alert(deps, place, found);
  return "stop";
}

/** In one batch with what people are told of it. */
function saveConflict(
  deps: FlowDeps,
  { repository, rule }: Place,
  stored: Stored<"images">,
  channel: Channel,
): Promise<Stored<"images"> | undefined> {
  const told = conflictNotice(deps, repository, rule, channel);
  return saveChannel(deps, "image.conflict", stored, rule.tag, channel, told);
}

function alert(deps: FlowDeps, { repository, rule }: Place, found: Digest | undefined): void {
  const where = found === undefined ? "was deleted" : `was moved to ${found}`;
  deps.log.write(
    "alert",
    `${repository}:${rule.tag} ${where} by somebody else: left as it is; \`landfall promote ${repository} ${rule.tag} --adopt\` takes it over, \`--restore\` puts it back`,
    { outcome: "conflict" },
  );
}

/** A write that was sent may have been taken all the same: its intent stays until somebody has looked. */
async function trouble(
  deps: FlowDeps,
  place: Place,
  stored: Stored<"images">,
  turn: Turn,
  error: unknown,
  reason: string,
): Promise<Next> {
  const { holder, sent } = turn;
  const { repository, rule } = place;
  const detail = messageOf(error);
  const retryAfterMs = retryAfterOf(error);
  deps.log.write("warning", `${repository}:${rule.tag} is not promoted yet: ${detail}`, { outcome: reason });
  if (sent === undefined) letEnd(deps, holder);
  await settle(deps, place, stored, turn, (channel, nowMs) => {
    const { intent } = channel;
    const times = (channel.trouble?.times ?? 0) + 1;
    // An earlier holder's write may still arrive: what it was to bring stays known.
    const freed =
      intent === undefined || sent !== undefined
        ? {}
        : { intent: { ...intent, lease: { holder, untilMs: nowMs - graceMs } } };
    const until = retryAfterMs === undefined ? {} : { untilMs: nowMs + retryAfterMs };
    const trouble = { reason, detail, times, ...until };
    return { point: "image.trouble", channel: { ...channel, ...freed, trouble } };
  });
  return "stop";
}

/** A holder's turn at the registry. */
interface Turn {
  readonly holder: string;
  /** What it has put under the tag, or may have. */
  readonly sent: Digest | undefined;
}

/** Ends what an intent began, whatever else of the image was written meanwhile. */
async function settle(
  deps: FlowDeps,
  place: Place,
  first: Stored<"images">,
  { holder, sent }: Turn,
  end: (channel: Channel, nowMs: number) => { readonly point: FaultPoint; readonly channel: Channel },
): Promise<"settled" | "overtaken"> {
  for (let stored = first; ; stored = await loadImage(deps, place.repository)) {
    const channel = channelOf(stored.value, place.rule.tag);
    const nowMs = await deps.ledger.clock();
    const isOurs = channel.intent?.lease.holder === holder;
    const next = isOurs ? end(channel, nowMs) : overtaken(channel, sent, nowMs);
    if (next === undefined) return "overtaken";
    const saved =
      next.point === "image.conflict"
        ? await saveConflict(deps, place, stored, next.channel)
        : await saveChannel(deps, next.point, stored, place.rule.tag, next.channel);
    if (saved !== undefined) return isOurs ? "settled" : "overtaken";
  }
}

/**
 * Somebody took it over meanwhile. Whoever is at it expects a write of ours; where all is over, nobody may look at the tag
 * any more: then we do.
 */
function overtaken(
  channel: Channel,
  sent: Digest | undefined,
  nowMs: number,
): { readonly point: FaultPoint; readonly channel: Channel } | undefined {
  const isOver = channel.intent === undefined && channel.conflict === undefined;
  if (!isOver || sent === undefined || sent === channel.promoted?.digest) return undefined;
  const unsettled = [...new Set([...channel.unsettled, sent])];
  return { point: "image.check", channel: { ...channel, unsettled, checkMs: nowMs } };
}

async function digestAt(deps: FlowDeps, { repository, rule }: Place): Promise<Digest | undefined> {
  return (await deps.recorder.step("registry.head", () => deps.registry.head(repository, rule.tag)))?.digest;
}
