import type { PromoteMessage } from "../../../shared/bus/bus.ts";
import { environment, loadConfig } from "../../../shared/config/load.ts";
import { nearest } from "../../../shared/config/nearest.ts";
import { isTag, parseReference, type Repository } from "../../../shared/domain/reference.ts";
import { matcher } from "../../../shared/domain/repository-glob.ts";
import { imageRules } from "../../wiring/rules.ts";
import type { Answer, Call, CliContext, Command } from "../command.ts";
import { giveOrder } from "../ordering.ts";
import { publishingOptions } from "../publishing.ts";

type How = PromoteMessage["how"];

const meanings: Readonly<Record<How, string>> = {
  move: "it is moved to what it is to have now: the newest build, or what the channel before it has",
  adopt: "what somebody else put there is right from now on",
  restore: "what Landfall had put there is put back",
};

export const promote: Command = {
  name: "promote",
  summary: "move a channel's tag, or say what becomes of one that somebody else moved",
  parameters: "IMAGE CHANNEL",
  maxArguments: 2,
  options: {
    adopt: { type: "boolean", about: "What somebody else put there is right: go on from it." },
    restore: { type: "boolean", about: "Put back what Landfall had put there." },
    ...publishingOptions,
  },
  help: `Moves a channel that is \`by: hand\`, or one that waits for its soak, to what it is to have now: the newest accepted
build, or with \`after\` what the channel before it has. A channel that somebody else has moved is left as it is
(\`conflict\`) until --adopt or --restore says what becomes of it.

The order is a message: Landfall acts on it, and records who gave it. Of LANDFALL_BUS=pubsub:TOPIC it goes to the
topic TOPIC-commands. With LANDFALL_CONFIG set, image and channel are looked up there first.`,
  examples: [
    ["promote gcr.io/acme/api prod", "to what int has proven, or to the newest build"],
    ["promote gcr.io/acme/api prod --wait", "and tell when it runs"],
    ["promote gcr.io/acme/api prod --restore", "somebody pushed over prod: put ours back"],
    ["promote gcr.io/acme/api prod --adopt --dry-run", "look first"],
  ],
  async run(call, context) {
    const order = orderOf(call);
    if ("text" in order) return order;
    return giveOrder(call, context, async () => {
      const unknown = await unknownChannel(order, context);
      if (unknown !== undefined) return unknown;
      return {
        subject: `${order.image} ${order.channel}`,
        rows: [["order", meanings[order.how]]],
        messages: [{ kind: "promote", ...order }],
        image: order.image,
      };
    });
  },
};

type Order = Pick<PromoteMessage, "image" | "channel" | "how">;

function orderOf({
  arguments: [name, channel],
  options,
}: Call): Order | (Answer & { readonly text: string }) {
  if (name === undefined || channel === undefined) {
    return { kind: "usage", text: "Say which image and which channel, e.g. promote gcr.io/acme/api prod" };
  }
  const image = repositoryOf(name);
  if ("text" in image) return image;
  if (!isTag(channel)) return { kind: "usage", text: `\`${channel}\` is no channel: channels are tags.` };
  const { adopt = false, restore = false } = options;
  if (adopt === true && restore === true) {
    return { kind: "usage", text: "Give --adopt or --restore, not both." };
  }
  const how: How = adopt === true ? "adopt" : restore === true ? "restore" : "move";
  return { image: image.repository, channel, how };
}

function repositoryOf(
  name: string,
): { readonly repository: Repository } | (Answer & { readonly text: string }) {
  const read = parseReference(`${name}:any`);
  if (read.kind === "reference" && read.reference.tag === "any") return read.reference;
  const whole = parseReference(name);
  return {
    kind: "usage",
    text:
      whole.kind === "reference"
        ? `\`${name}\` has a tag or digest: what a channel gets, Landfall finds out.`
        : `\`${name}\` is no image: ${whole.reason}.`,
  };
}

/** What the configuration has against the order, where there is one. */
async function unknownChannel({ image, channel }: Order, { env }: CliContext): Promise<Answer | undefined> {
  const { config: path } = environment(env);
  if (path === undefined) return undefined;
  const { config } = await loadConfig({ path, ...(env === undefined ? {} : { env }) });
  if (!matcher(config.follow)(image)) {
    return { kind: "failed", text: `${image} is not matched by \`follow\` in ${path}.` };
  }
  const known = imageRules(config)(image).channels.map(({ tag }) => tag);
  if (known.includes(channel)) return undefined;
  const meant = nearest(channel, known);
  const hint =
    meant !== undefined
      ? ` Did you mean \`${meant}\`?`
      : known.length === 0
        ? " It has no channels there."
        : ` It has ${known.join(", ")}.`;
  return { kind: "failed", text: `${path} has no channel \`${channel}\` of ${image}.${hint}` };
}
