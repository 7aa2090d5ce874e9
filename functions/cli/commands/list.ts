import { nearest } from "../../../shared/config/nearest.ts";
import { parseReference, pathOf } from "../../../shared/domain/reference.ts";
import type { ImageDocument } from "../../../shared/ledger/image-document.ts";
import { ambiguous } from "../address.ts";
import { readBuilds } from "../builds.ts";
import { type Answer, type Command, countOf } from "../command.ts";
import { readImages } from "../history.ts";
import { isTail } from "../image-name.ts";
import { renderBuilds } from "../render/builds.ts";
import { renderImages } from "../render/images.ts";

const defaultLimit = 20;

export const list: Command = {
  name: "list",
  summary: "the builds of an image, with its head and its channels",
  parameters: "IMAGE",
  maxArguments: 1,
  options: {
    limit: { type: "string", value: "N", about: `Builds to show; ${defaultLimit} when not given.` },
  },
  help: `The builds that are known, heard last first: with jobs that finish in any order that is not the order of their
commits. (head) marks the newest commit that was accepted; a channel's name, what that channel has; (held: …), for whom it is held. Up to 100 builds are
kept of each image that has \`git\` in the configuration.

IMAGE needs no host when only one repository of that name is known.`,
  examples: [
    ["list gcr.io/acme/api", "which builds are there, and which one is on prod?"],
    ["list api --limit 100", "all that are kept"],
    ["list api --json", "commits and digests whole"],
  ],
  async run(call, { openLedger, clock }) {
    const [asked] = call.arguments;
    if (asked === undefined) {
      return { kind: "usage", text: "Say which image, e.g. list gcr.io/acme/api" };
    }
    const limit = countOf(call, "limit", defaultLimit);
    if (typeof limit !== "number") return limit;
    const ledger = await openLedger();
    try {
      const image = choose(asked, await readImages(ledger));
      if ("kind" in image) return image;
      const { repository, head, channels } = image;
      const workloads = (await ledger.workloads()).map(({ value }) => value);
      const builds = await readBuilds(ledger, image, workloads, limit);
      const nowMs = clock.now();
      const parts = [
        renderImages([image], nowMs),
        ...(builds.length === 0 ? [] : [renderBuilds(builds, nowMs)]),
      ];
      return {
        kind: "done",
        text: parts.join("\n\n"),
        json: { image: repository, ...(head === undefined ? {} : { head }), channels, builds },
      };
    } finally {
      await ledger.close();
    }
  },
};

/** The image that a name stands for: itself, else the only one that ends with it. */
function choose(asked: string, images: readonly ImageDocument[]): ImageDocument | Answer {
  const read = parseReference(`${asked}:any`);
  if (read.kind === "invalid" || read.reference.tag !== "any") {
    const whole = parseReference(asked);
    const text =
      whole.kind === "invalid"
        ? `\`${asked}\` is no image: ${whole.reason}.`
        : `\`${asked}\` has a tag or digest: \`landfall explain ${asked}\` tells of one build.`;
    return { kind: "usage", text };
  }
  const { repository } = read.reference;
  const named = images.filter((image) => image.repository === repository);
  const found = named.length > 0 ? named : images.filter((image) => isTail(image.repository, asked));
  const [only, ...others] = found;
  if (only !== undefined && others.length === 0) return only;
  if (only !== undefined) {
    return ambiguous(
      asked,
      found.map((image) => image.repository),
    );
  }
  const meant = nearest(
    asked,
    images.flatMap((image) => [image.repository, pathOf(image.repository)]),
  );
  const hint =
    meant === undefined
      ? ` Builds are listed of images that have \`git\` in the configuration; \`landfall explain ${asked}\` shows pushes.`
      : ` Did you mean \`${meant}\`?`;
  return {
    kind: "nothing",
    text: `No build of ${repository} is on record.${hint}`,
    json: { image: repository, channels: {}, builds: [] },
  };
}
