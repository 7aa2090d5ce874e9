import type { PromoteMessage } from "../bus/bus.ts";
import { builtOf, channelOf } from "../decide/promotion.ts";
import type { ChannelRule } from "../decide/rules.ts";
import { LedgerUnavailableError } from "../errors.ts";
import type { Asked, Channel, ImageDocument } from "../ledger/image-document.ts";
import type { EventDocument } from "../ledger/ledger.ts";
import { advanceImage } from "./advance-image.ts";
import type { Budget, FlowDeps } from "./deps.ts";
import { eventKeptMs } from "./event.ts";
import { loadImage, saveChannel } from "./image.ts";
import { record } from "./record.ts";

const maxRaces = 20;

/** What a person's order comes to: the channel as it is to be from now on, or why it cannot be done. */
type Ordered =
  | { readonly kind: "ordered"; readonly channel: Channel }
  | { readonly kind: "refused"; readonly detail: string };

/** A person decides about a channel: moves it, or says what becomes of one that somebody else moved. */
export async function handlePromote(deps: FlowDeps, message: PromoteMessage, budget: Budget): Promise<void> {
  for (let race = 0; race < maxRaces; race++) {
    const known = await deps.ledger.get("events", message.event);
    if (known?.value.state === "done") return advanceImage(deps, message.image, budget);
    const before = await loadImage(deps, message.image);
    const rule = deps.rule(message.image).channels.find(({ tag }) => tag === message.channel);
    const ordered: Ordered = !deps.follows(message.image)
      ? { kind: "refused", detail: `${message.image} is not matched by \`follow\`` }
      : rule === undefined
        ? {
            kind: "refused",
            detail: `the configuration has no channel ${message.channel} of ${message.image}`,
          }
        : order(before.value, rule, message);
    const value = eventOf(message, ordered);
    const write = { collection: "events", id: message.event, expect: known?.rev ?? 0, value } as const;
    if (ordered.kind === "refused") {
      deps.log.write("warning", `${message.image}:${message.channel}: ${ordered.detail}`, {
        event: message.event,
      });
      if ((await record(deps, "event.record", [write])) === "written") return;
      continue;
    }
    const { channel } = message;
    const saved = await saveChannel(deps, "image.record", before, channel, ordered.channel, [write]);
    if (saved !== undefined) return advanceImage(deps, message.image, budget);
  }
  // What is not on record has to be delivered again.
  throw new LedgerUnavailableError(`${message.image} changes faster than an order can be recorded`);
}

function order(image: ImageDocument, rule: ChannelRule, message: PromoteMessage): Ordered {
  const channel = channelOf(image, rule.tag);
  const asking = { event: message.event, heardMs: message.heardMs, by: message.by };
  const head = headFor(image, rule);
  switch (message.how) {
    case "move": {
      if (channel.conflict !== undefined) {
        return refused("somebody else moved it: first say `--adopt` or `--restore`");
      }
      const source = rule.after === undefined ? image.head : image.channels[rule.after]?.promoted;
      if (source === undefined) {
        const what = rule.after === undefined ? "no build is accepted yet" : `${rule.after} has nothing yet`;
        return refused(`there is nothing to move it to: ${what}`);
      }
      return { kind: "ordered", channel: { ...channel, asked: { ...builtOf(source), ...asking, head } } };
    }
    case "restore":
      if (channel.conflict === undefined) return refused("nobody else moved it");
      if (channel.promoted === undefined)
        return refused("Landfall has never moved it, so there is nothing to restore");
      // What was built meanwhile is promoted from there on, as if nobody had moved it.
      return {
        kind: "ordered",
        channel: { ...channel, asked: { ...channel.promoted, ...asking, head: channel.head } },
      };
    case "adopt":
      return adopt(image, rule, channel, { ...asking, head });
    default:
      return message.how satisfies never;
  }
}

/** Generation of the head that a person's order about a channel is given under: only a newer one moves the channel on. */
export function headFor(image: ImageDocument, { after }: ChannelRule): number {
  return (after === undefined ? image.head?.generation : image.channels[after]?.head) ?? 0;
}

/** From now on it is as if we had put there what was found, if it still is there: only a newer head moves it on. */
function adopt(
  image: ImageDocument,
  rule: ChannelRule,
  channel: Channel,
  asking: Pick<Asked, "event" | "by" | "head">,
): Ordered {
  const { conflict } = channel;
  if (conflict === undefined) return refused("nobody else moved it");
  const { found } = conflict;
  if (found === undefined)
    return refused("the tag was deleted, so there is nothing to adopt: say `--restore`");
  const known = image.builds.find(({ digest }) => digest === found);
  const asked = { ...(known === undefined ? { tag: rule.tag } : builtOf(known)), digest: found, ...asking };
  return { kind: "ordered", channel: { ...channel, asked } };
}

function refused(detail: string): Ordered {
  return { kind: "refused", detail };
}

function eventOf(message: PromoteMessage, ordered: Ordered): EventDocument {
  const { image, channel, how, by } = message;
  return {
    state: "done",
    promote: { image, channel, how, by },
    heardMs: message.heardMs,
    outcome: ordered.kind,
    ...(ordered.kind === "refused" ? { detail: ordered.detail } : {}),
    verdicts: [],
    more: 0,
    looks: 0,
    expireMs: message.heardMs + eventKeptMs,
  };
}
