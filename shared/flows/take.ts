import { type Bus, Message } from "../bus/bus.ts";
import { asBuild, type ImageBuild } from "../domain/build.ts";
import type { Notice } from "../domain/notice.ts";
import type { ImagePush } from "../domain/push.ts";
import { hostOf, pathOf } from "../domain/reference.ts";
import type { Stored } from "../ledger/ledger.ts";
import { advance } from "./advance.ts";
import { handleBuild } from "./build.ts";
import type { Budget, FlowDeps } from "./deps.ts";
import { eventKeptMs } from "./event.ts";
import { hear } from "./hear.ts";
import { noticeWrites } from "./notices.ts";
import { handleOrder } from "./orders.ts";
import { handlePromote } from "./promote-order.ts";
import { handleReconcile } from "./reconcile-order.ts";
import { record } from "./record.ts";

/** A Pub/Sub message as it was delivered. */
export interface Delivery {
  readonly messageId: string;
  /** Base64; empty for a message of attributes only. */
  readonly data: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** Whether the bus knows that it has delivered the message before. */
  readonly redelivered: boolean;
}

/**
 * Takes one message from the bus. Returns when what it wants is on record, so that it may be acknowledged; one that can
 * never be used is recorded, set aside with the reason, and acknowledged too.
 * @throws LedgerUnavailableError, BusUnavailableError (retryable): to be delivered again
 */
export async function take(
  deps: FlowDeps & { readonly bus: Pick<Bus, "publish" | "deadLetter"> },
  delivery: Delivery,
  budget: Budget,
): Promise<void> {
  const decoded = decode(delivery.data);
  if (decoded.kind === "undecodable") return setAside(deps, delivery, decoded.reason);
  const { message } = decoded;
  switch (message.kind) {
    case "continue":
      return advance(deps, message.workload, message.seq, budget);
    case "build": {
      const event = `build-${delivery.messageId}`;
      const stored = await known(deps, event, delivery);
      if (stored?.value.state === "done") return;
      const heardMs = stored?.value.heardMs ?? (await deps.ledger.clock());
      const isOrdered = deps.rule(message.image).git !== undefined || message.dirty === true;
      if (isOrdered) return handleBuild(deps, { event, heardMs, build: message }, budget, stored);
      return hear(deps, { kind: "push", event, heardMs, push: asPush(message) }, budget, stored);
    }
    case "push": {
      const stored = await known(deps, message.event, delivery);
      if (stored?.value.state === "done") return;
      return hear(deps, message, budget, stored);
    }
    case "promote":
      return handlePromote(deps, message, budget);
    case "order":
      return handleOrder(deps, message, budget);
    case "reconcile":
      return handleReconcile(deps, message, budget);
    default:
      return message satisfies never;
  }
}

/** Without git a build has no order: it is a push of its tag like any other. */
function asPush({ image, tag, digest, commit, branch, repo }: ImageBuild): ImagePush {
  return {
    source: "native",
    registry: hostOf(image),
    repository: pathOf(image),
    tag,
    ...(digest === undefined ? {} : { digest }),
    ...(commit === undefined ? {} : { commit }),
    ...(branch === undefined ? {} : { branch }),
    ...(repo === undefined ? {} : { repoUrl: repo }),
  };
}

/** An event may be on record when its message was delivered before. */
async function known(
  deps: FlowDeps,
  event: string,
  { redelivered }: Delivery,
): Promise<Stored<"events"> | undefined> {
  return redelivered ? deps.ledger.get("events", event) : undefined;
}

type Decoded =
  | { readonly kind: "message"; readonly message: Message }
  | { readonly kind: "undecodable"; readonly reason: string };

function decode(data: string): Decoded {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(data, "base64")));
  } catch {
    return { kind: "undecodable", reason: "its data is no base64 of JSON" };
  }
  const parsed = Message.safeParse(asBuild(json) ?? json);
  if (parsed.success) return { kind: "message", message: parsed.data };
  const problems = parsed.error.issues.map(
    (issue) => `${issue.path.join(".") || "message"}: ${issue.message}`,
  );
  return { kind: "undecodable", reason: problems.join("; ") };
}

async function setAside(
  deps: FlowDeps & { readonly bus: Pick<Bus, "deadLetter"> },
  delivery: Delivery,
  reason: string,
): Promise<void> {
  const nowMs = await deps.ledger.clock();
  const id = `undecodable-${delivery.messageId}`;
  const value = {
    state: "done",
    heardMs: nowMs,
    outcome: "undecodable",
    detail: reason,
    verdicts: [],
    more: 0,
    looks: 0,
    expireMs: nowMs + eventKeptMs,
  } as const;
  // Set aside first: a crash in between sets it aside twice, the other order would lose it.
  await deps.recorder.step("bus.dead-letter", () =>
    deps.bus.deadLetter(textOf(delivery.data), delivery.attributes, reason),
  );
  const notice = undecodableNotice(delivery.messageId, id, reason, nowMs);
  await record(deps, "event.record", [
    { collection: "events", id, expect: 0, value },
    ...noticeWrites(deps, notice),
  ]);
  deps.log.write("alert", `message ${delivery.messageId} cannot be used: ${reason}`, {
    outcome: "undecodable",
  });
}

function undecodableNotice(messageId: string, event: string, reason: string, atMs: number): Notice {
  return {
    kind: "dead-lettered",
    subject: `message ${messageId}`,
    sentence: `it cannot be used: ${reason}`,
    next: `\`landfall explain ${event}\``,
    event,
    atMs,
  };
}

/** The text of a message's data; what is no text stays base64, as it came. */
function textOf(data: string): string {
  const text = Buffer.from(data, "base64").toString("utf8");
  return Buffer.from(text).toString("base64") === data ? text : data;
}
