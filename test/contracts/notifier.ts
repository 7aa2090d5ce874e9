import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Notice } from "../../shared/domain/notice.ts";
import { httpClient } from "../../shared/http.ts";
import { createNotifier } from "../../shared/notify/index.ts";
import type { Letter, Notifier, NotifierContext, NotifierEntry } from "../../shared/notify/notifier.ts";
import { manualClock } from "../doubles/manual-clock.ts";
import {
  type NoticeReceiver,
  noticeReceiver,
  type ReceiverAnswer,
  urlSecret,
} from "../doubles/notice-receiver.ts";

export function notice(change: Partial<Notice> = {}): Notice {
  return {
    kind: "failed",
    subject: "swarm-prod/web",
    sentence: "rollout 12 to docker.io/acme/web:v1: the task exits with 1",
    next: "`landfall explain WORKLOAD` tells why.",
    images: [`docker.io/acme/web:v1@sha256:${"a".repeat(64)}`],
    event: "e-1",
    seq: 12,
    atMs: Date.UTC(2026, 0, 5, 12),
    ...change,
  };
}

export function letter(change: Partial<Letter> = {}): Letter {
  return { message: "m-1", kind: "failed", event: "e-1", notices: [notice()], more: 0, ...change };
}

/** A notifier over a receiver, with no more than 200 ms of patience. */
export async function notifierAt(
  receiver: Pick<NoticeReceiver, "url">,
  entryOf: (url: string) => NotifierEntry,
  context: Partial<NotifierContext> = {},
): Promise<Notifier> {
  return createNotifier(entryOf("${URL}"), {
    secret: (template) => () => (template === "${URL}" ? receiver.url : template),
    clock: manualClock(),
    connect: (options) => {
      const http = httpClient(options);
      return { ...http, request: (request) => http.request({ ...request, deadlineMs: 200 }) };
    },
    ...context,
  });
}

/** What every notifier promises. @param entryOf its entry in the configuration, for an address */
export function notifierContract(name: string, entryOf: (url: string) => NotifierEntry): void {
  describe(`${name} keeps the notifier's contract`, () => {
    let receiver: NoticeReceiver;
    let notifier: Notifier;
    beforeEach(async () => {
      receiver = await noticeReceiver();
      notifier = await notifierAt(receiver, entryOf);
    });
    afterEach(async () => {
      await notifier.close();
      await receiver.close();
    });

    it.each([200, 201, 202, 204])("has told when it is answered %i", async (status) => {
      receiver.answers.push({ status });
      expect(await notifier.send(letter())).toEqual({ kind: "taken" });
    });

    it("posts JSON, once", async () => {
      await notifier.send(letter());
      expect(receiver.received).toHaveLength(1);
      expect(receiver.received[0]?.headers["content-type"]).toMatch(/json; charset=utf-8$/);
      expect(JSON.parse(receiver.received[0]?.body ?? "")).toBeTypeOf("object");
    });

    it.each<{ name: string; answer: ReceiverAnswer; retryAfterMs?: number }>([
      { name: "400", answer: { status: 400, body: "invalid_payload" } },
      { name: "404", answer: { status: 404, body: "no_service" } },
      { name: "a redirect", answer: { status: 302, headers: { location: "http://127.0.0.1:1/" } } },
      {
        name: "429 with a time",
        answer: { status: 429, headers: { "retry-after": "30" } },
        retryAfterMs: 30_000,
      },
      { name: "500", answer: { status: 500 } },
      {
        name: "503 with a time",
        answer: { status: 503, headers: { "retry-after": "7" } },
        retryAfterMs: 7_000,
      },
      { name: "an answer that never ends", answer: { status: 200, body: "x".repeat(100_000) } },
      { name: "a lost answer", answer: "lose" },
      { name: "silence", answer: "hang" },
    ])("may be tried again after $name, and gives nothing away", async ({ answer, retryAfterMs }) => {
      receiver.answers.push(answer);
      const answered = await notifier.send(letter());
      expect(answered).toMatchObject({
        kind: "failed",
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      });
      expect(JSON.stringify(answered)).not.toContain(urlSecret);
      expect("retryAfterMs" in answered).toBe(retryAfterMs !== undefined);
    });

    it("says nothing that the other side sent, but for a word of its own", async () => {
      receiver.answers.push({ status: 500, body: `<html>${receiver.url}</html>` });
      expect(await notifier.send(letter())).toEqual({ kind: "failed", reason: "it answered 500" });
    });

    it("is refused by 410 Gone", async () => {
      receiver.answers.push({ status: 410 });
      expect(await notifier.send(letter())).toMatchObject({ kind: "refused" });
    });

    it("may be tried again when nobody is there", async () => {
      await receiver.close();
      const answered = await notifier.send(letter());
      expect(answered.kind).toBe("failed");
      expect(JSON.stringify(answered)).not.toContain(urlSecret);
      receiver = await noticeReceiver();
    });

    it.each(["", "hooks.slack.com/x", "ftp://example.org/x", "file:///etc/passwd"])(
      "calls nobody where the address is %j",
      async (url) => {
        const other = await notifierAt({ url }, entryOf);
        expect(await other.send(letter())).toEqual({
          kind: "failed",
          reason: "its `url` is no http(s) address",
        });
        await other.close();
      },
    );

    it("has neither address nor secret in what it sends", async () => {
      await notifier.send(letter({ notices: [notice({ kind: "conflict" })] }));
      const [{ body, headers } = { body: "", headers: {} }] = receiver.received;
      expect(body).not.toContain(urlSecret);
      expect(body + JSON.stringify(headers)).not.toContain("whsec_");
    });

    it("names one message alike at each attempt", async () => {
      receiver.answers.push({ status: 500 });
      await notifier.send(letter());
      await notifier.send(letter());
      const [first, second] = receiver.received;
      expect(first?.body).toBe(second?.body);
      expect(first?.body).toContain('"m-1"');
    });
  });
}
