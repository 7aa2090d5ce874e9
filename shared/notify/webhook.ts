import { createHmac } from "node:crypto";
import type { Notice } from "../domain/notice.ts";
import { httpClient } from "../http.ts";
import type { Delivered, EntryOf, Letter, Notifier, NotifierContext } from "./notifier.ts";
import { post } from "./post.ts";

const prefix = "whsec_";
const secretBytes = { min: 24, max: 64 };
/** What every intermediary takes: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#size-limits. */
const maxBodyBytes = 60_000;
const maxText = 1_000;

/**
 * CloudEvents 1.0 in structured JSON, signed as Standard Webhooks 1.0.0 says:
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export function create(
  { url, secret: template }: EntryOf<"webhook">,
  { secret, clock, connect = httpClient }: NotifierContext,
): Notifier {
  const client = connect({ connections: 2 });
  const address = secret(url);
  const signing = secret(template);
  return {
    send: async (letter): Promise<Delivered> => {
      const key = keyOf(signing());
      if (key === undefined) {
        return {
          kind: "failed",
          reason: `its \`secret\` is not \`${prefix}\` and ${secretBytes.min} to ${secretBytes.max} bytes in base64`,
        };
      }
      const body = bodyOf(letter);
      const nowMs = clock.now();
      return post({
        client,
        url: address,
        headers: {
          "content-type": "application/cloudevents+json; charset=utf-8",
          ...signatureOf(letter.message, Math.floor(nowMs / 1_000), body, key),
        },
        body,
        nowMs,
      });
    },
    close: () => client.close(),
  };
}

/** The time is that of the attempt, so that an old one cannot be played back; the id is that of the message. */
export function signatureOf(id: string, timestamp: number, body: string, key: Buffer) {
  const signature = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
  return {
    "webhook-id": id,
    "webhook-timestamp": String(timestamp),
    "webhook-signature": `v1,${signature}`,
  };
}

function keyOf(secret: string): Buffer | undefined {
  const text = secret.startsWith(prefix) ? secret.slice(prefix.length) : secret;
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined;
  const key = Buffer.from(text, "base64");
  return key.length < secretBytes.min || key.length > secretBytes.max ? undefined : key;
}

/** As many notices as fit; the rest is a count. */
function bodyOf(letter: Letter): string {
  for (let count = letter.notices.length; ; count--) {
    const body = JSON.stringify(eventOf(letter, count));
    if (count <= 1 || Buffer.byteLength(body) <= maxBodyBytes) return body;
  }
}

/** https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md */
function eventOf({ message, kind, event, notices, more }: Letter, count: number) {
  const lastMs = Math.max(...notices.map(({ atMs }) => atMs));
  const subject = notices.length + more === 1 ? notices[0]?.subject : undefined;
  return {
    specversion: "1.0",
    id: message,
    source: "/landfall",
    type: `landfall.notice.${kind}`,
    ...(subject === undefined ? {} : { subject }),
    time: new Date(lastMs).toISOString(),
    datacontenttype: "application/json",
    data: {
      kind,
      ...(event === undefined ? {} : { event }),
      notices: notices.slice(0, count).map(noticeOf),
      more: more + notices.length - count,
    },
  };
}

function noticeOf({ subject, sentence, next, images, seq, atMs }: Notice) {
  return {
    subject,
    sentence: sentence.slice(0, maxText),
    ...(next === undefined ? {} : { next: next.slice(0, maxText) }),
    ...(images === undefined ? {} : { images }),
    ...(seq === undefined ? {} : { seq }),
    time: new Date(atMs).toISOString(),
  };
}
