import type { OrderMessage } from "../bus/bus.ts";
import { builtOf, channelOf } from "../decide/promotion.ts";
import { printReference, type Repository } from "../domain/reference.ts";
import type { Wanted } from "../domain/rollout.ts";
import type { Write } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";
import { imageWrite, loadImage } from "./image.ts";
import { headFor } from "./promote-order.ts";

/** What moves the channels that a workload is on back with it. */
type Moved =
  | {
      readonly kind: "moved";
      readonly writes: readonly Write[];
      readonly images: readonly Repository[];
      /** For a person, to be added to a sentence. */
      readonly detail: string;
    }
  | { readonly kind: "refused"; readonly detail: string };

/**
 * Whether a workload was brought away from what its channels have, all of them: then only the tags are to go back, to what
 * it runs.
 */
export async function hasLeftChannels(deps: FlowDeps, running: Wanted): Promise<boolean> {
  let isOnChannel = false;
  for (const { repository, tag, digest } of Object.values(running)) {
    if (!deps.rule(repository).channels.some((each) => each.tag === tag)) continue;
    isOnChannel = true;
    const { promoted, intent, asked } = channelOf((await loadImage(deps, repository)).value, tag);
    const has = (asked ?? intent?.to ?? promoted)?.digest;
    if (has === undefined || has === digest) return false;
  }
  return isOnChannel;
}

/** As if a person had ordered each channel to be promoted to what the workload goes back to: only a newer head moves it on. */
export async function channelsBack(deps: FlowDeps, message: OrderMessage, to: Wanted): Promise<Moved> {
  const byImage = Map.groupBy(Object.values(to), ({ repository }) => repository);
  const writes: Write[] = [];
  const images: Repository[] = [];
  const names: string[] = [];
  let isOnChannel = false;
  for (const [repository, containers] of byImage) {
    const before = await loadImage(deps, repository);
    let image = before.value;
    for (const rule of deps.rule(repository).channels) {
      const container = containers.find(({ tag }) => tag === rule.tag);
      if (container === undefined) continue;
      isOnChannel = true;
      const { digest } = container;
      const channel = channelOf(image, rule.tag);
      const name = printReference({ repository, tag: rule.tag });
      if (channel.conflict !== undefined) {
        const first = `landfall promote ${repository} ${rule.tag}`;
        return {
          kind: "refused",
          detail: `somebody else moved ${name}: \`${first} --restore\` or \`--adopt\` comes first`,
        };
      }
      const isThere = channel.promoted?.digest === digest && channel.intent === undefined;
      if (channel.asked === undefined ? isThere : channel.asked.digest === digest) continue;
      const { event, heardMs, by } = message;
      const known = image.builds.find((each) => each.digest === digest);
      const build = known === undefined ? { tag: rule.tag, digest } : builtOf(known);
      const asked = { ...build, event, heardMs, by, head: headFor(image, rule) };
      image = { ...image, channels: { ...image.channels, [rule.tag]: { ...channel, asked } } };
      names.push(name);
    }
    if (image === before.value) continue;
    writes.push(await imageWrite(deps, before, image));
    images.push(repository);
  }
  if (!isOnChannel)
    return { kind: "refused", detail: "it is on no channel: give the order without --channel" };
  return {
    kind: "moved",
    writes,
    images,
    detail: names.map((name) => `; ${name} goes back with it`).join(""),
  };
}
