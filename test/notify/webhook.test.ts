import { createHmac } from "node:crypto";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import * as z from "zod/mini";
import type { Notifier } from "../../shared/notify/notifier.ts";
import { signatureOf } from "../../shared/notify/webhook.ts";
import { letter, notice, notifierAt, notifierContract } from "../contracts/notifier.ts";
import { manualClock } from "../doubles/manual-clock.ts";
import { type NoticeReceiver, noticeReceiver } from "../doubles/notice-receiver.ts";

const key = Buffer.from("0123456789abcdef0123456789abcdef");
const secret = `whsec_${key.toString("base64")}`;
const entryOf = (url: string) => ({ kind: "webhook", url, secret }) as const;
notifierContract("webhook", entryOf);

/** https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md: names of attributes and their types. */
const CloudEvent = z.strictObject({
  specversion: z.literal("1.0"),
  id: z.string().check(z.minLength(1)),
  source: z.string().check(z.minLength(1)),
  type: z.string().check(z.minLength(1)),
  subject: z.optional(z.string().check(z.minLength(1))),
  time: z.iso.datetime({ offset: true }),
  datacontenttype: z.literal("application/json"),
  data: z.strictObject({
    kind: z.string(),
    event: z.optional(z.string()),
    notices: z.array(
      z.strictObject({
        subject: z.string(),
        sentence: z.string(),
        next: z.optional(z.string()),
        images: z.optional(z.array(z.string())),
        seq: z.optional(z.int()),
        time: z.iso.datetime({ offset: true }),
      }),
    ),
    more: z.int(),
  }),
});

describe("a CloudEvent", () => {
  const clock = manualClock(Date.UTC(2026, 0, 5, 12, 0, 0, 999));
  let receiver: NoticeReceiver;
  let notifier: Notifier;
  beforeEach(async () => {
    receiver = await noticeReceiver();
    notifier = await notifierAt(receiver, entryOf, { clock });
  });
  afterEach(async () => {
    await notifier.close();
    await receiver.close();
  });

  async function sent(change: Parameters<typeof letter>[0] = {}): Promise<z.infer<typeof CloudEvent>> {
    await notifier.send(letter(change));
    return CloudEvent.parse(JSON.parse(receiver.received.at(-1)?.body ?? ""));
  }

  it("is one of version 1.0, in structured mode, and says what Slack is told", async () => {
    expect(await sent()).toEqual({
      specversion: "1.0",
      id: "m-1",
      source: "/landfall",
      type: "landfall.notice.failed",
      subject: "swarm-prod/web",
      time: "2026-01-05T12:00:00.000Z",
      datacontenttype: "application/json",
      data: {
        kind: "failed",
        event: "e-1",
        notices: [
          {
            subject: "swarm-prod/web",
            sentence: "rollout 12 to docker.io/acme/web:v1: the task exits with 1",
            next: "`landfall explain WORKLOAD` tells why.",
            images: [`docker.io/acme/web:v1@sha256:${"a".repeat(64)}`],
            seq: 12,
            time: "2026-01-05T12:00:00.000Z",
          },
        ],
        more: 0,
      },
    });
    expect(receiver.received[0]?.headers["content-type"]).toBe("application/cloudevents+json; charset=utf-8");
  });

  it("has no subject where it is about several", async () => {
    const { subject, time } = await sent({
      notices: [notice(), notice({ subject: "swarm-prod/api", atMs: Date.UTC(2026, 0, 5, 13) })],
    });
    expect({ subject, time }).toEqual({ subject: undefined, time: "2026-01-05T13:00:00.000Z" });
  });

  it("is signed over id, time and the bytes that are sent", async () => {
    await sent({ notices: [notice({ sentence: "ünïcode 🚢" })] });
    const [{ body, headers } = { body: "", headers: {} }] = receiver.received;
    const signed = `m-1.1767614400.${body}`;
    expect(headers).toMatchObject({
      "webhook-id": "m-1",
      "webhook-timestamp": "1767614400",
      "webhook-signature": `v1,${createHmac("sha256", key).update(signed).digest("base64")}`,
    });
  });

  it("has the signature that other implementations of Standard Webhooks check in their tests", () => {
    const known = Buffer.from("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "base64");
    const body = '{"test": 2432232314}';
    expect(signatureOf("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body, known)).toEqual({
      "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
      "webhook-timestamp": "1614265330",
      "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    });
  });

  it("has the time of each attempt, and the id of the first", async () => {
    receiver.answers.push({ status: 500 });
    await notifier.send(letter());
    await clock.advance(60_000);
    await notifier.send(letter());
    const times = receiver.received.map(({ headers }) => Number(headers["webhook-timestamp"]));
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBe(60);
    expect(new Set(receiver.received.map(({ headers }) => headers["webhook-id"]))).toEqual(new Set(["m-1"]));
  });

  it.each([
    { name: "short", wrong: `whsec_${Buffer.alloc(23).toString("base64")}` },
    { name: "long", wrong: `whsec_${Buffer.alloc(65).toString("base64")}` },
    { name: "no base64", wrong: "whsec_not base64 at all, but long enough for it" },
    { name: "empty", wrong: "whsec_" },
  ])("is not sent with a secret that is $name, which is not shown", async ({ wrong }) => {
    const other = await notifierAt(receiver, (url) => ({ kind: "webhook", url, secret: wrong }));
    expect(await other.send(letter())).toEqual({
      kind: "failed",
      reason: "its `secret` is not `whsec_` and 24 to 64 bytes in base64",
    });
    await other.close();
    expect(receiver.received).toEqual([]);
  });

  it("has at most 64 KiB, and counts what it leaves out", async () => {
    const text = fc.oneof(fc.string({ unit: "binary", maxLength: 50 }), fc.constant("\u0000".repeat(1_000)));
    const some = fc.record({ subject: fc.string({ minLength: 1 }), sentence: text, next: text });
    await fc.assert(
      fc.asyncProperty(
        fc.array(some, { minLength: 1, maxLength: 50 }),
        fc.nat(1_000),
        async (texts, more) => {
          const { data } = await sent({ notices: texts.map((each) => notice(each)), more });
          expect(Buffer.byteLength(receiver.received.at(-1)?.body ?? "")).toBeLessThanOrEqual(65_536);
          expect(data.notices.length + data.more).toBe(texts.length + more);
          expect(data.notices.length).toBeGreaterThan(0);
        },
      ),
      { numRuns: 60 },
    );
  });
});
