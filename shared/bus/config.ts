/** A topic or subscription: `ID`, or `projects/P/topics/ID` where the project is not the process's own. */
export interface PubsubName {
  /** Undefined: the process's own. */
  readonly project: string | undefined;
  readonly id: string;
}

/** What `LANDFALL_BUS` says. */
export type BusSetting =
  | { readonly kind: "inline" }
  /** Publishes; Pub/Sub itself pushes to the builds function. */
  | { readonly kind: "pubsub"; readonly topic: PubsubName }
  /** Pulls for the builds function of this process. `topic`: where it publishes to, default the subscription's own. */
  | {
      readonly kind: "pubsub-pull";
      readonly subscription: PubsubName;
      readonly topic: PubsubName | undefined;
    };

/** How each kind is written, for whoever wrote it otherwise. */
export const busForms =
  "`inline:`, `pubsub:TOPIC`, or `pubsub-pull:SUBSCRIPTION` (with `?topic=TOPIC` where the subscription may not be read)";

/** @returns `undefined` for a text that is none of `busForms` */
export function parseBus(text: string): BusSetting | undefined {
  const [, kind, rest = ""] = /^([a-z-]+):(.*)$/.exec(text) ?? [];
  if (kind === "inline" && rest === "") return { kind };
  if (kind === "pubsub") {
    const topic = parseName(rest, "topics");
    return topic === undefined ? undefined : { kind, topic };
  }
  if (kind !== "pubsub-pull") return undefined;
  const [name = "", topicText, ...more] = rest.split("?topic=");
  const subscription = parseName(name, "subscriptions");
  const topic = topicText === undefined ? undefined : parseName(topicText, "topics");
  if (subscription === undefined || more.length > 0 || (topic === undefined && topicText !== undefined)) {
    return undefined;
  }
  return { kind, subscription, topic };
}

/** https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names; projects may be scoped: `example.com:p`. */
function parseName(text: string, collection: "topics" | "subscriptions"): PubsubName | undefined {
  const whole = /^projects\/([a-z][a-z0-9.:-]*)\/([a-z]+)\/([^/]+)$/.exec(text);
  if (whole !== null && whole[2] !== collection) return undefined;
  const [project, id = ""] = whole === null ? [undefined, text] : [whole[1], whole[3]];
  return /^(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}$/.test(id) ? { project, id } : undefined;
}

/** The topic for what people order, beside the one for pushes and builds. */
export function commandsTopic({ project, id }: PubsubName): PubsubName {
  return { project, id: `${id}-commands` };
}

/** `projects/P/topics/ID`. */
export function fullName(name: PubsubName, collection: "topics" | "subscriptions", project: string): string {
  return `projects/${name.project ?? project}/${collection}/${name.id}`;
}
