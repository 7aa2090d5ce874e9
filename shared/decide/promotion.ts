import type { Digest } from "../domain/reference.ts";
import type { Asked, Built, Channel, ImageDocument, Intent } from "../ledger/image-document.ts";
import { troublePausesMs } from "./patience.ts";
import type { ChannelRule, ImageRule } from "./rules.ts";

/** A channel of which nothing is known yet. */
const newChannel: Channel = { generation: 0, head: 0, planned: 0, unsettled: [] };

/** A channel as the image has it; one that it does not have yet is new. */
export function channelOf(image: ImageDocument, tag: string): Channel {
  return image.channels[tag] ?? newChannel;
}

/** What is to be brought to a channel, and under which head. */
export interface Bringing {
  readonly to: Built;
  readonly head: number;
}

export type ChannelStep =
  | { readonly kind: "rest" }
  /** Somebody is writing to the registry for it: whoever ends that sees what is wanted then. */
  | { readonly kind: "busy" }
  | { readonly kind: "promote"; readonly bring: Bringing }
  /** Look whether the tag still is where it was put. */
  | { readonly kind: "check" };

/** What has to be done about a channel now. */
export function nextStep(
  image: ImageDocument,
  rule: ChannelRule,
  nowMs: number,
  isFree: (lease: Intent["lease"]) => boolean,
): ChannelStep {
  const channel = channelOf(image, rule.tag);
  const { intent } = channel;
  if (intent !== undefined && !isFree(intent.lease)) return { kind: "busy" };
  if ((channel.trouble?.untilMs ?? 0) > nowMs) return { kind: "rest" };
  const wanted = wantedOn(image, rule);
  if (wanted !== undefined) return { kind: "promote", bring: wanted };
  if (intent !== undefined) return { kind: "promote", bring: { to: intent.to, head: intent.head } };
  if (channel.conflict !== undefined) return { kind: "rest" };
  return channel.checkMs !== undefined && channel.checkMs <= nowMs ? { kind: "check" } : { kind: "rest" };
}

/** What a channel is to have and does not: the head, or what a person or the channel before it asked for. */
export function wantedOn(image: ImageDocument, rule: ChannelRule): Bringing | undefined {
  const channel = channelOf(image, rule.tag);
  const { asked } = channel;
  if (asked !== undefined) {
    const { head = image.head?.generation ?? 0, ...to } = asked;
    return { to, head };
  }
  if (channel.conflict !== undefined || rule.byHand || rule.after !== undefined) return undefined;
  const { head } = image;
  return head === undefined || head.generation <= channel.head
    ? undefined
    : { to: builtOf(head), head: head.generation };
}

/** What a tag that was found somewhere means while an intent of ours is on record. */
export function judgeFound(
  channel: Channel,
  intent: Intent,
  found: Digest | undefined,
): "write" | "done" | "conflict" {
  if (found === intent.to.digest) return "done";
  const isFirst = channel.promoted === undefined;
  const isOurs = found === intent.from || (found !== undefined && channel.unsettled.includes(found));
  return isFirst || isOurs ? "write" : "conflict";
}

/**
 * The channel with a new intent on record. That of somebody who died is not forgotten: its write may still arrive, even
 * after one of the same digest, when the channel has moved on from it.
 */
export function withIntent(channel: Channel, bring: Bringing, lease: Intent["lease"]): Channel {
  const { intent: dead, promoted, conflict, ...rest } = channel;
  const late = dead === undefined ? [] : [dead.to.digest];
  const from = conflict === undefined ? promoted?.digest : conflict.found;
  return {
    ...rest,
    ...(promoted === undefined ? {} : { promoted }),
    ...(conflict === undefined ? {} : { conflict }),
    unsettled: [...new Set([...channel.unsettled, ...late])],
    intent: { ...bring, ...(from === undefined ? {} : { from }), lease },
  };
}

/**
 * The channel after its tag was seen, or written, where the intent wanted it.
 * @param found what the tag pointed to before; a late write of ours that was overwritten is expected no more
 */
export function withResult(
  channel: Channel,
  intent: Intent,
  found: Digest | undefined,
  nowMs: number,
  checkMs: number,
): Channel {
  const { intent: _intent, conflict: _conflict, trouble: _trouble, asked, soak: _soak, ...rest } = channel;
  const isNew = channel.promoted?.digest !== intent.to.digest;
  const isLate = found !== intent.from && found !== intent.to.digest;
  return {
    ...rest,
    ...(asked === undefined || asked.digest === intent.to.digest ? {} : { asked }),
    promoted: intent.to,
    promotedMs: nowMs,
    generation: channel.generation + (isNew ? 1 : 0),
    head: Math.max(channel.head, intent.head),
    unsettled: isLate ? channel.unsettled.filter((digest) => digest !== found) : channel.unsettled,
    checkMs,
  };
}

/** The channel that somebody else moved: left as it is until a person decides. */
export function withConflict(channel: Channel, found: Digest | undefined, nowMs: number): Channel {
  const { intent: _intent, checkMs: _checkMs, asked: _asked, trouble: _trouble, ...rest } = channel;
  return { ...rest, conflict: { ...(found === undefined ? {} : { found }), sinceMs: nowMs } };
}

/** When the sweep takes up what nobody has carried on, ms. */
const carriedOnMs = 30_000;
/** How often a channel is looked at that has to prove a digest for the next one, ms. */
const proofMs = 30_000;

/**
 * When an image wants attention next, ms; `undefined`: nothing is left to do.
 * @param graceMs how long after its lease a promotion may be taken over
 */
export function imageDueMs(
  image: ImageDocument,
  rule: ImageRule,
  nowMs: number,
  graceMs: number,
): number | undefined {
  const times: number[] = [image.frozenMs, image.relookMs].filter((each) => each !== undefined);
  const planMs = delayOf(image)?.untilMs ?? nowMs + carriedOnMs;
  if ((image.head?.generation ?? 0) > image.planned) times.push(planMs);
  for (const each of rule.channels) {
    const channel = channelOf(image, each.tag);
    const { intent, trouble, checkMs } = channel;
    const againMs =
      trouble === undefined ? undefined : Math.max(nowMs + pauseOf(trouble.times), trouble.untilMs ?? 0);
    if (intent !== undefined) times.push(Math.max(intent.lease.untilMs + graceMs, againMs ?? 0));
    else if (wantedOn(image, each) !== undefined) times.push(againMs ?? nowMs + carriedOnMs);
    if (channel.generation > channel.planned) times.push(planMs);
    if (checkMs !== undefined && channel.conflict === undefined) times.push(checkMs);
    const proof = proofDueMs(image, each, nowMs);
    if (proof !== undefined) times.push(Math.max(proof, againMs ?? 0));
  }
  return times.length === 0 ? undefined : Math.min(...times);
}

/** The image after another pass in which not all workloads could be planned for. */
export function withDelay(image: ImageDocument, nowMs: number, retryAfterMs: number): ImageDocument {
  const times = (delayOf(image)?.times ?? 0) + 1;
  const untilMs = nowMs + Math.max(pauseOf(times), retryAfterMs);
  return { ...image, delay: { under: generationsOf(image), times, untilMs } };
}

/** Whether workloads could not be planned for lately, so that nobody is asked again yet. */
export function isDelayed(image: ImageDocument, nowMs: number): boolean {
  return (delayOf(image)?.untilMs ?? 0) > nowMs;
}

/** What newer heads and promotions ask for is not kept waiting by what older ones had met. */
function delayOf(image: ImageDocument): ImageDocument["delay"] {
  return image.delay?.under === generationsOf(image) ? image.delay : undefined;
}

function generationsOf({ head, channels }: ImageDocument): number {
  return Object.values(channels).reduce((sum, channel) => sum + channel.generation, head?.generation ?? 0);
}

/** The pause after trouble has come so often in a row, ms. */
function pauseOf(times: number): number {
  return troublePausesMs[Math.min(times, troublePausesMs.length) - 1] ?? carriedOnMs;
}

/**
 * What the channel before another one has proven, or has still to prove: only what came to it later than what the other
 * one has, or than what a person put there.
 */
export function proving(image: ImageDocument, rule: ChannelRule): Asked | undefined {
  if (rule.after === undefined || rule.byHand) return undefined;
  const channel = channelOf(image, rule.tag);
  const before = image.channels[rule.after];
  const candidate = before?.promoted;
  if (before === undefined || candidate === undefined) return undefined;
  if (channel.conflict !== undefined || channel.asked !== undefined) return undefined;
  if (before.conflict !== undefined || before.intent !== undefined) return undefined;
  const isNews =
    channel.promoted === undefined ||
    (before.head > channel.head && candidate.digest !== channel.promoted.digest);
  return isNews ? { ...candidate, head: before.head } : undefined;
}

function proofDueMs(image: ImageDocument, rule: ChannelRule, nowMs: number): number | undefined {
  const candidate = proving(image, rule);
  if (candidate === undefined) return undefined;
  const soak = image.channels[rule.tag]?.soak;
  if (soak?.digest !== candidate.digest) return nowMs + proofMs;
  if (soak.stopped !== undefined) return undefined;
  return soak.sinceMs === undefined ? nowMs + proofMs : Math.max(nowMs, soak.sinceMs + rule.soakMs);
}

/** The build in something that says more of it. */
export function builtOf({ commit, tag, digest, event, heardMs }: Built): Built {
  return {
    ...(commit === undefined ? {} : { commit }),
    tag,
    digest,
    event,
    ...(heardMs === undefined ? {} : { heardMs }),
  };
}
