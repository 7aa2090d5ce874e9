import { imageDueMs } from "../decide/promotion.ts";
import type { Repository } from "../domain/reference.ts";
import type { Channel, ImageDocument } from "../ledger/image-document.ts";
import type { Stored, Write } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";
import { graceMs } from "./lease.ts";
import { record } from "./record.ts";
import type { FaultPoint } from "./recorder.ts";

/** An image as the ledger has it; one that it does not have yet is empty, at revision 0. */
export async function loadImage(deps: FlowDeps, repository: Repository): Promise<Stored<"images">> {
  const stored = await deps.ledger.get("images", repository);
  return stored ?? { id: repository, rev: 0, writer: "", value: newImage(repository) };
}

/**
 * Puts an image on record, as `imageWrite` has it.
 * @param more written in the same batch
 * @returns the document as it is now; `undefined`: somebody else was faster, read and decide anew
 */
export async function saveImage(
  deps: FlowDeps,
  point: FaultPoint,
  before: Stored<"images">,
  value: ImageDocument,
  more: readonly Write[] = [],
): Promise<Stored<"images"> | undefined> {
  const write = await imageWrite(deps, before, value);
  if ((await record(deps, point, [write, ...more])) === "conflict") return undefined;
  return { ...before, rev: before.rev + 1, value: write.value };
}

/** What puts an image on record, with the time at which the sweep has to look at it. */
export async function imageWrite(
  deps: FlowDeps,
  { id, rev: expect }: Stored<"images">,
  image: ImageDocument,
): Promise<Extract<Write, { readonly collection: "images" }>> {
  const nowMs = await deps.ledger.clock();
  const { dueMs: _, ...rest } = image;
  const dueMs = imageDueMs(rest, deps.rule(image.repository), nowMs, graceMs);
  const value: ImageDocument = { ...rest, ...(dueMs === undefined ? {} : { dueMs }) };
  return { collection: "images", id, expect, value };
}

/** Puts one of an image's channels on record, as `saveImage` does. */
export function saveChannel(
  deps: FlowDeps,
  point: FaultPoint,
  before: Stored<"images">,
  tag: string,
  channel: Channel,
  more: readonly Write[] = [],
): Promise<Stored<"images"> | undefined> {
  const channels = { ...before.value.channels, [tag]: channel };
  return saveImage(deps, point, before, { ...before.value, channels }, more);
}

function newImage(repository: Repository): ImageDocument {
  return { repository, planned: 0, channels: {}, builds: [] };
}

/** As if the newest commit and every promotion had just been accepted: who has them already is left alone. */
export function withoutPlans({ frozenMs: _, ...image }: ImageDocument): ImageDocument {
  const channels = Object.entries(image.channels).map(([tag, channel]) => [
    tag,
    { ...channel, planned: channel.generation - 1 },
  ]);
  const planned = (image.head?.generation ?? 1) - 1;
  return { ...image, planned, channels: Object.fromEntries(channels) };
}
