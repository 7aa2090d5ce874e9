import type { Bus, Message } from "../bus/bus.ts";
import type { Clock } from "../clock.ts";
import { type IgnoreReason, type ImagePush, repositoryOf, sourceNames } from "../domain/push.ts";
import { BusUnavailableError } from "../errors.ts";
import type { Log, LogFields, Severity } from "../log.ts";
import { type Headers, headerOf, type JsonObject } from "../sources/source.ts";
import { admit, scoped, type Webhook } from "./admit.ts";

export interface ReceiveDeps {
  readonly webhooks: readonly Webhook[];
  readonly bus: Pick<Bus, "publish">;
  readonly newId: () => string;
  readonly clock: Pick<Clock, "now">;
  readonly log: Log;
}

/** What came of reading a body. `gone`: the sender hung up meanwhile. */
export type BodyReading =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "too-large" }
  | { readonly kind: "too-slow" }
  | { readonly kind: "gone" };

/** A request to `/hooks/…` as it arrived; its body is read only once the method is right. */
export interface Delivery {
  readonly method: string;
  /** As the path says, whether there is such a source or not. */
  readonly source: string;
  /** The path's secret, where it has one. */
  readonly secret?: string;
  readonly headers: Headers;
  readonly readBody: () => BodyReading | Promise<BodyReading>;
}

export type Receipt =
  | {
      readonly outcome: "accept";
      readonly images: readonly ImagePush[];
      readonly event: string;
      /** Images of the same delivery that its secret may not speak for. */
      readonly notAllowed: number;
    }
  | { readonly outcome: "ignore"; readonly reason: IgnoreReason }
  | {
      readonly outcome: "reject";
      readonly status: 400 | 401 | 405 | 408 | 413 | 415;
      readonly error: string;
    }
  /** The bus did not take the images durably: the sender should try again. */
  | { readonly outcome: "unavailable"; readonly images: readonly ImagePush[]; readonly cause: string }
  /** Nobody is there to be answered. */
  | { readonly outcome: "gone" };

type Rejection = Receipt & { outcome: "reject" };

/**
 * Takes one delivery: proves whom it is from, reads it, and hands each image over durably. It decides nothing about
 * deployment. Logs one line an outcome, never a path, header, body or secret.
 */
export async function receive(deps: ReceiveDeps, delivery: Delivery): Promise<Receipt> {
  const heardMs = deps.clock.now();
  const isPost = delivery.method === "POST";
  const read = isPost ? understand(deps, delivery, await delivery.readBody()) : wrongMethod;
  if (read.outcome !== "understood") return recorded(deps, delivery, read);
  const { images, notAllowed } = read;
  const event = deps.newId();
  try {
    await deps.bus.publish(messagesOf(images, event, heardMs));
  } catch (error) {
    if (!(error instanceof BusUnavailableError)) throw error;
    return recorded(deps, delivery, { outcome: "unavailable", images, cause: error.message });
  }
  return recorded(deps, delivery, { outcome: "accept", images, event, notAllowed });
}

function recorded({ log }: ReceiveDeps, delivery: Delivery, receipt: Receipt): Receipt {
  const { severity, message, fields } = lineOf(receipt);
  // A name that is no source's may be a secret in the wrong place.
  const source = sourceNames.find((name) => name === delivery.source) ?? "unknown";
  log.write(severity, message, { source, ...fields });
  return receipt;
}

/** Images that are to be handed over, and how many of the same delivery its secret may not speak for. */
interface Understood {
  readonly outcome: "understood";
  readonly images: readonly ImagePush[];
  readonly notAllowed: number;
}

function understand(deps: ReceiveDeps, delivery: Delivery, body: BodyReading): Receipt | Understood {
  switch (body.kind) {
    case "bytes":
      return understandBytes(deps, delivery, body.bytes);
    case "too-large":
      return reject(413, "the body is longer than any report of a push");
    case "too-slow":
      return reject(408, "the body did not arrive in time");
    case "gone":
      return { outcome: "gone" };
    default:
      return body satisfies never;
  }
}

function understandBytes(
  { webhooks, log }: ReceiveDeps,
  { source, secret = "", headers }: Delivery,
  bytes: Uint8Array,
): Receipt | Understood {
  const admitted = admit(webhooks, { source, secret, headers, bytes }, log);
  const [webhook] = admitted;
  if (webhook === undefined) return reject(401, "no valid secret or signature");
  const mediaProblem = mediaTypeProblem(headers);
  if (mediaProblem !== undefined) return reject(415, mediaProblem);
  const json = parseObject(bytes);
  if (json === undefined) return reject(400, "the body is not a JSON object in UTF-8");

  const verdict = webhook.source.classify(headers, json);
  if (verdict.outcome === "ignore") return verdict;
  if (verdict.outcome === "reject") return reject(400, verdict.error);
  const images = verdict.images.flatMap((image) => scoped(image, admitted) ?? []);
  return images.length === 0
    ? { outcome: "ignore", reason: "not-allowed" }
    : { outcome: "understood", images, notAllowed: verdict.images.length - images.length };
}

/** One message an image; the event of the only one is `event` itself, of several `event.1`, `event.2`, … */
function messagesOf(images: readonly ImagePush[], event: string, heardMs: number): readonly Message[] {
  const idOf = (index: number) => (images.length === 1 ? event : `${event}.${index + 1}`);
  return images.map((push, index) => ({ kind: "push", event: idOf(index), heardMs, push }));
}

function mediaTypeProblem(headers: Headers): string | undefined {
  const encoding = headerOf(headers, "content-encoding")?.trim().toLowerCase() ?? "";
  if (encoding !== "" && encoding !== "identity") return "compressed bodies are not read";
  const type = headerOf(headers, "content-type")?.split(";", 1)[0]?.trim().toLowerCase() ?? "";
  return /^application\/(?:[a-z0-9!#$&^_.+-]+\+)?json$/.test(type) ? undefined : "expected a JSON media type";
}

function parseObject(bytes: Uint8Array): JsonObject | undefined {
  try {
    const json: unknown = JSON.parse(utf8.decode(bytes));
    return isObject(json) ? json : undefined;
  } catch {
    return undefined;
  }
}

function isObject(json: unknown): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

function reject(status: Rejection["status"], error: string): Rejection {
  return { outcome: "reject", status, error };
}

const utf8 = new TextDecoder("utf-8", { fatal: true });
const wrongMethod = reject(405, "only POST is answered here");

function lineOf(receipt: Receipt): {
  readonly severity: Severity;
  readonly message: string;
  readonly fields: LogFields;
} {
  switch (receipt.outcome) {
    case "accept": {
      const { event, images, notAllowed } = receipt;
      const fields = { event, images: printImages(images), ...(notAllowed > 0 ? { notAllowed } : {}) };
      return { severity: "info", message: "push accepted", fields };
    }
    case "ignore":
      return { severity: "info", message: "delivery ignored", fields: { reason: receipt.reason } };
    case "reject": {
      const fields = { status: receipt.status, reason: receipt.error };
      return { severity: "warning", message: "delivery rejected", fields };
    }
    case "unavailable": {
      const fields = { images: printImages(receipt.images), reason: receipt.cause };
      return { severity: "error", message: "push not handed over", fields };
    }
    case "gone":
      return { severity: "info", message: "delivery broken off by its sender", fields: {} };
    default:
      return receipt satisfies never;
  }
}

function printImages(images: readonly ImagePush[]): string {
  const most = 20;
  const names = images.slice(0, most).map((image) => `${repositoryOf(image)}:${image.tag ?? ""}`);
  return [...names, ...(images.length > most ? [`and ${images.length - most} more`] : [])].join(" ");
}
