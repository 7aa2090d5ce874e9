import { randomUUID } from "node:crypto";
import type { OrderMessage, PromoteMessage, ReconcileMessage } from "../../shared/bus/bus.ts";
import type { Order } from "../../shared/domain/order.ts";
import type { Repository } from "../../shared/domain/reference.ts";
import type { Ledger } from "../../shared/ledger/ledger.ts";
import type { Answer, Call, CliContext, Command } from "./command.ts";
import { actor, type Publishing, publishingOf, publishingOptions } from "./publishing.ts";
import { columns } from "./render/table.ts";
import { awaited, type Published, type Watch, waitOf } from "./waiting.ts";

/** The options of a command by which a person gives an order. */
export const orderOptions: Command["options"] = {
  reason: { type: "string", value: "TEXT", about: "Why: it is shown wherever the order's effect is." },
  ...publishingOptions,
};

/** The option of an order that pins. */
export const untilOption: Command["options"] = {
  until: {
    type: "string",
    value: "WHAT",
    about: "`next` (default): until something newer comes; `release`: until `landfall release`.",
  },
};

/** An order as a person gives it: without time, giver and the id of its event. */
export type Message =
  | Omit<OrderMessage, "event" | "heardMs" | "by">
  | Omit<PromoteMessage, "event" | "heardMs" | "by">
  | Omit<ReconcileMessage, "event" | "heardMs" | "by">;

/** What a command is about to order. */
export interface Ordering {
  /** What it is about, e.g. `docker.io/acme/api prod`. */
  readonly subject: string;
  /** What it would do, for a person: name and text. */
  readonly rows: readonly (readonly [name: string, text: string])[];
  /** What else a person should know before it is done. */
  readonly remarks?: readonly string[];
  /** The same as data. */
  readonly preview?: unknown;
  /** As far as the ledger knows it is so already. */
  readonly isSo?: boolean;
  readonly messages: readonly Message[];
  /** The image whose channels it moves. */
  readonly image?: Repository;
  /** The workload that it has looked at again. */
  readonly looked?: Watch["looked"];
  /** What is told besides once it is over, or given up. */
  readonly ending?: (answer: Answer, ledger: Ledger, events: readonly string[]) => Promise<Answer>;
}

/** What `prepare` may look at: the ledger, opened when it is first asked for. */
type OpenLedger = () => Promise<Ledger>;

/**
 * Gives orders: shows what they would do, publishes them unless it is a dry run, and follows them where that is asked for.
 * @param prepare finds out what is to be ordered, or why it cannot be
 */
export async function giveOrder(
  call: Call,
  context: CliContext,
  prepare: (open: OpenLedger) => Promise<Ordering | Answer>,
): Promise<Answer> {
  const timeoutMs = waitOf(call);
  if (typeof timeoutMs === "object") return timeoutMs;
  const publishing = publishingOf(call, context, "commands");
  if ("text" in publishing) return publishing;
  let opened: Promise<Ledger> | undefined;
  const open = () => (opened ??= context.openLedger());
  try {
    const ordering = await prepare(open);
    if ("kind" in ordering) return ordering;
    if (call.options["dry-run"] === true) return answerOf(ordering, publishing);
    // Opened first: what cannot be followed is not published.
    const ledger = timeoutMs === undefined ? undefined : await open();
    const messages = await publishing.publishing(async (outbox) => {
      const heardMs = context.clock.now();
      const by = await actor(outbox);
      const sent = ordering.messages.map((message) => ({ ...message, event: eventOf(message), heardMs, by }));
      await outbox.bus.publish(sent);
      return sent;
    });
    const published = answerOf(ordering, publishing, messages);
    if (ledger === undefined || timeoutMs === undefined) return published;
    const watched = messages.flatMap((message) => watchesOf(message, ordering));
    const must = messages.some(({ kind }) => kind === "order");
    const what = { watched, timeoutMs, place: publishing.place, must };
    const answer = await awaited(published, ledger, what, context);
    const { ending } = ordering;
    const events = messages.map(({ event }) => event);
    return ending === undefined ? answer : await ending(answer, ledger, events);
  } finally {
    await (await opened)?.close();
  }
}

type Sent = Message & Pick<OrderMessage, "event" | "heardMs" | "by">;

function eventOf(message: Message): string {
  return `${message.kind === "order" ? message.order.do : message.kind}-${randomUUID()}`;
}

function watchesOf(sent: Sent, { image, looked }: Ordering): readonly Watch[] {
  const first: Watch = {
    id: sent.event,
    ...(image === undefined ? {} : { image }),
    ...(looked === undefined ? {} : { looked }),
  };
  const isReplay = sent.kind === "order" && sent.order.do === "replay";
  return isReplay ? [first, { ...first, id: `${sent.event}.again`, after: sent.event }] : [first];
}

/** @param sent absent: nothing was published */
function answerOf(ordering: Ordering, { place }: Publishing, sent?: readonly Sent[]): Published {
  const { subject, rows, remarks = [], preview, isSo = false } = ordering;
  const [first] = sent ?? [];
  const facts = [
    ...rows,
    ["to", place],
    ...(first === undefined ? [] : [["by", first.by]]),
    ...(sent ?? []).map(({ event }) => ["event", event]),
  ];
  const told = sent === undefined ? `${subject} would be ordered:` : `${subject} is ordered:`;
  const next = first === undefined ? [] : [`\`landfall explain ${first.event}\` tells what became of it.`];
  const single = ordering.messages.length === 1;
  return {
    kind: isSo && sent === undefined ? "nothing" : "done",
    text: [told, columns(facts, "  "), ...remarks, ...next].join("\n"),
    json: {
      published: sent !== undefined,
      to: place,
      ...(preview === undefined ? {} : { preview }),
      ...(first === undefined || !single ? {} : { event: first.event }),
      ...(single ? { message: first ?? ordering.messages[0] } : { messages: sent ?? ordering.messages }),
    },
  };
}

/** What `--reason` says, as an order has it. */
export function reasonOf({
  options,
}: Call): { readonly reason?: string } | (Answer & { readonly kind: "usage" }) {
  const { reason } = options;
  if (typeof reason !== "string") return {};
  if (reason.length > 500 || reason.trim() === "") {
    return { kind: "usage", text: "--reason takes 1 to 500 characters." };
  }
  return { reason };
}

/** What lifts the pin: `--until`. */
export function untilOf({
  options,
}: Call): { readonly until: "next" | "release" } | (Answer & { readonly kind: "usage" }) {
  const { until = "next" } = options;
  if (until === "next" || until === "release") return { until };
  return {
    kind: "usage",
    text: "--until takes `next` (something newer lifts it) or `release` (only `landfall release` does).",
  };
}

export function orderMessage(order: Order): Message {
  return { kind: "order", order };
}
