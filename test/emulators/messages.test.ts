import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { patient, testMs, type WatchedLandfall, watchedLandfall } from "./watched-landfall.ts";

let here: WatchedLandfall;

beforeAll(async () => {
  here = await watchedLandfall();
}, testMs);
afterAll(() => here?.remove());

describe("a message that nobody can use", () => {
  it.each([
    { name: "words that are no JSON", data: "{ ünï", reason: "its data is no base64 of JSON" },
    { name: "a kind that is none", data: '{"kind":"reboot"}', reason: expect.stringMatching(/kind/) },
  ])(
    "is on record, set aside with the reason, and delivered once: $name",
    async ({ data, reason }) => {
      const { pubsub, topic, ledger } = here.landfall;
      const messages = [{ data: Buffer.from(data).toString("base64"), attributes: { origin: "ci" } }];
      const published = await pubsub.call("POST", `${topic.topic}:publish`, { messages });
      const [id] = (published as { readonly messageIds: readonly string[] }).messageIds;
      await vi.waitFor(async () => {
        const event = await ledger.get("events", `undecodable-${id}`);
        expect(event?.value).toMatchObject({ state: "done", outcome: "undecodable", detail: reason });
      }, patient);
      const pulled = await pubsub.call("POST", `${topic.deadLetters}:pull`, { maxMessages: 10 });
      const { receivedMessages: letters } = pulled as { readonly receivedMessages: readonly Letter[] };
      expect(letters.map(({ message }) => message)).toMatchObject([
        { data: messages[0]?.data, attributes: { origin: "ci", LandfallDeadLetterReason: reason } },
      ]);
      const ackIds = letters.map(({ ackId }) => ackId);
      await pubsub.call("POST", `${topic.deadLetters}:acknowledge`, { ackIds });
      await here.expectRolledOut(await here.push());
      expect(here.statusesOf(data)).toEqual([204]);
    },
    testMs,
  );
});

interface Letter {
  readonly ackId: string;
  readonly message: object;
}

describe("builds that is killed in the middle of a rollout", () => {
  it(
    "leaves nothing that its successor and the sweep of the minute do not bring to its end",
    async () => {
      const { digest, event } = await here.push();
      await here.untilVerifying();
      expect(await here.landfall.builds.stop("SIGKILL")).toBe("SIGKILL");
      await vi.waitFor(() => expect(here.statusesOf(event)).toContain("gone"), patient);
      await here.landfall.startBuilds();
      await here.expectRolledOut({ digest, event }, async () =>
        expect((await here.landfall.sweep()).status).toBe(200),
      );
    },
    testMs,
  );
});
