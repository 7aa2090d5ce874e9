import { buildMachine } from "../../../shared/config/load.ts";
import { asBuild, ImageBuild } from "../../../shared/domain/build.ts";
import { type Digest, parseReference } from "../../../shared/domain/reference.ts";
import { type BuildFacts, buildFacts } from "../build-facts.ts";
import type { Answer, Call, Command } from "../command.ts";
import { type Publishing, publishingOf, publishingOptions } from "../publishing.ts";
import { type PushedImage, pushedDigest } from "../pushed-image.ts";
import { columns } from "../render/table.ts";
import { awaited, type Published, waitOf } from "../waiting.ts";

export const publish: Command = {
  name: "publish",
  summary: "from a CI job: an image was built and pushed",
  parameters: "IMAGE:TAG",
  maxArguments: 1,
  options: {
    commit: {
      type: "string",
      value: "SHA",
      about:
        "The full commit id it was built from; else the tag, if that is one, else what the CI system says.",
    },
    branch: { type: "string", value: "B", about: "The branch; else what the CI system says." },
    repo: {
      type: "string",
      value: "URL",
      about: "Where the sources are, for people; else what the CI system says.",
    },
    "build-url": {
      type: "string",
      value: "URL",
      about: "The build's own page; else what the CI system says.",
    },
    dirty: { type: "boolean", about: "Built from changes that are in no commit: recorded, never deployed." },
    ...publishingOptions,
  },
  help: `Run it after \`docker push\`. Looks that the registry has the image, reads its digest back, and publishes one
message, so that Landfall can find out whether the commit is newer than what runs. Ends with 1 and a sentence when
the image is not there, the registry refuses, or nothing could be published: the job turns red. Publishing the same
again is harmless.

The registry is asked with the login of \`registries\` in LANDFALL_CONFIG, else as docker would: ~/.docker/config.json
(or DOCKER_CONFIG) with its credential helpers; registries on this machine by plain HTTP. Pub/Sub is called as
Application Default Credentials say. Known CI systems: GitHub Actions, GitLab, CircleCI, Buildkite, Jenkins, Cloud Build.`,
  examples: [
    ["publish gcr.io/acme/api:$COMMIT_SHA --topic projects/acme/topics/landfall", "the tag is the commit"],
    ["publish ghcr.io/acme/api:v1.4.2 --commit $GITHUB_SHA", "to the bus of LANDFALL_BUS"],
    ["publish acme/api:v1 --wait --timeout 10m", "red as well when its rollout fails; needs the ledger"],
    ["publish acme/api:v1 --dry-run --json", "what would be published"],
  ],
  async run(call, context) {
    const image = imageOf(call);
    if ("text" in image) return image;
    const machine = buildMachine(context.env);
    const facts = buildFacts(call, image.tag, machine.ci);
    if ("text" in facts) return facts;
    const publishing = publishingOf(call, context, "builds");
    if ("text" in publishing) return publishing;
    const timeoutMs = waitOf(call);
    if (typeof timeoutMs === "object") return timeoutMs;
    const isDry = call.options["dry-run"] === true;
    // Opened first: what cannot be followed is not published.
    const ledger = timeoutMs === undefined || isDry ? undefined : await context.openLedger();
    try {
      const found = await pushedDigest(image, context);
      if (typeof found !== "string") return found;
      const message = messageOfBuild(image, found, facts, call.options.dirty === true);
      if ("text" in message) return message;
      if (isDry) return answerOf({ image, facts, message, publishing });
      const id = await publishing.publishing(({ bus }) => bus.publishText(JSON.stringify(message)));
      const published = answerOf({ image, facts, message, publishing, id });
      if (ledger === undefined || timeoutMs === undefined) return published;
      return await awaited(
        published,
        ledger,
        {
          watched: [{ id: eventOf(id), image: image.repository }],
          place: publishing.place,
          timeoutMs,
        },
        context,
      );
    } finally {
      await ledger?.close();
    }
  },
};

/** A build as it is published: without `kind`, as any other client of Pub/Sub writes it. */
type BuildMessage = Omit<ImageBuild, "kind">;

/** Under what id the ledger keeps what became of a message of CI. */
function eventOf(messageId: string): string {
  return `build-${messageId}`;
}

function imageOf({ arguments: [text] }: Call): PushedImage | (Answer & { readonly text: string }) {
  if (text === undefined)
    return { kind: "usage", text: "Say which image was pushed, e.g. gcr.io/acme/api:v1" };
  const read = parseReference(text);
  if (read.kind === "invalid") return { kind: "usage", text: `\`${text}\` is no image: ${read.reason}.` };
  const { repository, tag, digest } = read.reference;
  // `latest` is what docker adds to a name without a tag.
  if (tag === undefined || (tag === "latest" && !/:latest(?:@|$)/.test(text))) {
    return { kind: "usage", text: `\`${text}\` names no tag: write IMAGE:TAG, as it was pushed.` };
  }
  return { repository, tag, ...(digest === undefined ? {} : { digest }) };
}

function messageOfBuild(
  { repository, tag }: PushedImage,
  digest: Digest,
  { commitFrom: _, ...facts }: BuildFacts,
  isDirty: boolean,
): BuildMessage | (Answer & { readonly text: string }) {
  const message = { image: repository, tag, digest, ...facts, ...(isDirty ? { dirty: true } : {}) };
  const parsed = ImageBuild.safeParse(asBuild(message));
  if (parsed.success) {
    const { kind: __, ...build } = parsed.data;
    return build;
  }
  const problems = parsed.error.issues.map(({ path, message: text }) => `${path.join(".")}: ${text}`);
  return { kind: "usage", text: `No such message can be published: ${problems.join("; ")}` };
}

interface Told {
  readonly image: PushedImage;
  readonly facts: BuildFacts;
  readonly message: BuildMessage;
  readonly publishing: Publishing;
  /** Absent: nothing was published. */
  readonly id?: string;
}

function answerOf({ image, facts, message, publishing: { place }, id }: Told): Published {
  const name = `${image.repository}:${image.tag}`;
  const { commit, branch, repo, buildUrl, digest, dirty } = message;
  const rows = [
    ["digest", digest ?? "-"],
    ["commit", commit === undefined ? `none: ${facts.commitFrom}` : `${commit} (${facts.commitFrom})`],
    ...(branch === undefined ? [] : [["branch", branch]]),
    ...(repo === undefined ? [] : [["repo", repo]]),
    ...(buildUrl === undefined ? [] : [["build", buildUrl]]),
    ...(dirty === true ? [["dirty", "it will not be deployed"]] : []),
    ["to", place],
    ...(id === undefined ? [["message", JSON.stringify(message)]] : [["event", eventOf(id)]]),
  ];
  const told = id === undefined ? `${name} would be published:` : `${name} is published:`;
  const next = id === undefined ? [] : [`\`landfall explain ${eventOf(id)}\` tells what became of it.`];
  return {
    kind: "done",
    text: [told, columns(rows, "  "), ...next].join("\n"),
    json: {
      published: id !== undefined,
      to: place,
      ...(id === undefined ? {} : { messageId: id, event: eventOf(id) }),
      message,
    },
  };
}
