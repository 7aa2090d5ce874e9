import type { Digest } from "../../../shared/domain/reference.ts";
import type { Built, Channel, ImageDocument } from "../../../shared/ledger/image-document.ts";
import { table } from "./table.ts";
import { ago } from "./time.ts";
import { shortCommit, shortDigest } from "./words.ts";

/** One line for the head of each image, and one a channel: what it has, since when, and what stands in its way. */
export function renderImages(images: readonly ImageDocument[], nowMs: number): string {
  return table(
    ["IMAGE", "CHANNEL", "BUILD", "DIGEST", "SINCE", "NOTE"],
    images.flatMap((image) => rowsOf(image, nowMs)),
  );
}

/** A build by its commit, as far as that is known, else by its tag. */
function buildName({ commit, tag }: Pick<Built, "commit" | "tag">): string {
  return shortCommit(commit ?? tag);
}

function rowsOf(image: ImageDocument, nowMs: number): readonly (readonly string[])[] {
  const { repository, head, channels, builds } = image;
  const first =
    head === undefined
      ? ["(head)", "-", "-", "", "no build is accepted yet"]
      : [
          "(head)",
          buildName(head),
          shortDigest(head.digest),
          ago(head.acceptedMs, nowMs),
          head.generation > image.planned ? beingPlanned : "",
        ];
  const held = (image.holds ?? []).map((hold) => [
    "(held)",
    nameOf(image, hold.digest),
    shortDigest(hold.digest),
    ago(hold.sinceMs, nowMs),
    `by ${hold.by ?? "Landfall"}: ${hold.reason}; \`landfall release ${repository}@${shortDigest(hold.digest)}\``,
  ]);
  const rest = Object.entries(channels).map(([tag, channel]) => [
    tag,
    channel.promoted === undefined ? "-" : buildName(channel.promoted),
    shortDigest(channel.promoted?.digest),
    channel.promotedMs === undefined ? "" : ago(channel.promotedMs, nowMs),
    channelNote(image, tag, channel, nowMs),
  ]);
  // An image without an order is on record for what is held of it.
  const hasOrder = head !== undefined || rest.length > 0 || builds.length > 0 || held.length === 0;
  return [...(hasOrder ? [first] : []), ...rest, ...held].map((row, index) => [
    index === 0 ? repository : "",
    ...row,
  ]);
}

const beingPlanned = "workloads are being looked at";

/** What a channel waits for, or who moved it, in words; empty when it is where it should be. */
function channelNote(image: ImageDocument, tag: string, channel: Channel, nowMs: number): string {
  const { conflict, intent, asked, trouble, promoted, generation, planned } = channel;
  const parts: string[] = [];
  if (conflict !== undefined) {
    const where = conflict.found === undefined ? "deleted it" : `moved it to ${shortDigest(conflict.found)}`;
    const how = `\`landfall promote ${image.repository} ${tag} --adopt\` or \`--restore\``;
    parts.push(`somebody else ${where} ${ago(conflict.sinceMs, nowMs)}: ${how}`);
  }
  if (intent !== undefined) parts.push(`is being moved to ${buildName(intent.to)}${forWhom(intent.to)}`);
  else if (asked !== undefined) parts.push(`is to be moved to ${buildName(asked)}${forWhom(asked)}`);
  if (trouble !== undefined) parts.push(`${trouble.detail} (${trouble.reason}, ${times(trouble.times)})`);
  parts.push(...soakNotes(image, channel, nowMs));
  if (generation > planned) parts.push(beingPlanned);
  const isBehind = image.head !== undefined && image.head.generation > channel.head;
  if (parts.length === 0 && isBehind) parts.push("the head is newer");
  if (promoted?.by !== undefined) parts.push(`moved by ${promoted.by}`);
  return parts.join("; ");
}

function soakNotes(
  image: ImageDocument,
  { soak, promoted, asked }: Channel,
  nowMs: number,
): readonly string[] {
  if (soak === undefined || soak.digest === promoted?.digest || asked !== undefined) return [];
  const name = nameOf(image, soak.digest);
  if (soak.stopped !== undefined) return [`${name} was stopped: ${soak.stopped}`];
  if (soak.sinceMs === undefined) return [`${name} is not proven yet on the channel before`];
  return [`${name} soaks on the channel before, since ${ago(soak.sinceMs, nowMs)}`];
}

function nameOf({ builds }: ImageDocument, digest: Digest): string {
  const built = builds.find((each) => each.digest === digest);
  return built === undefined ? shortDigest(digest) : buildName(built);
}

function forWhom({ by }: Built): string {
  return by === undefined ? "" : ` for ${by}`;
}

function times(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}
