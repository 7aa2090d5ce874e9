import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import * as z from "zod/mini";
import type { Notifier } from "../../shared/notify/notifier.ts";
import { letter, notice, notifierAt, notifierContract } from "../contracts/notifier.ts";
import { type NoticeReceiver, noticeReceiver } from "../doubles/notice-receiver.ts";

const entryOf = (url: string) => ({ kind: "slack", url }) as const;
notifierContract("slack", entryOf);

/** What Slack documents: https://docs.slack.dev/reference/block-kit/blocks. */
const Text = (max: number) =>
  z.discriminatedUnion("type", [
    z.strictObject({
      type: z.literal("mrkdwn"),
      text: z.string().check(z.minLength(1), z.maxLength(max)),
      verbatim: z.optional(z.boolean()),
    }),
    z.strictObject({
      type: z.literal("plain_text"),
      text: z.string().check(z.minLength(1), z.maxLength(max)),
      emoji: z.optional(z.boolean()),
    }),
  ]);
const blockId = z.optional(z.string().check(z.maxLength(255)));
const Block = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("header"), block_id: blockId, text: Text(150) }),
  z.strictObject({ type: z.literal("section"), block_id: blockId, text: Text(3_000) }),
  z.strictObject({
    type: z.literal("context"),
    block_id: blockId,
    elements: z.array(Text(3_000)).check(z.minLength(1), z.maxLength(10)),
  }),
]);
const Message = z.strictObject({
  text: z.string().check(z.minLength(1), z.maxLength(4_000)),
  blocks: z.array(Block).check(z.minLength(1), z.maxLength(50)),
});
/** Beyond about so many characters in all blocks together Slack answers `msg_blocks_too_long`. */
const maxAll = 13_000;

describe("a message to Slack", () => {
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

  async function sent(change: Parameters<typeof letter>[0] = {}): Promise<z.infer<typeof Message>> {
    await notifier.send(letter(change));
    return Message.parse(JSON.parse(receiver.received.at(-1)?.body ?? ""));
  }

  it("tells of one workload what happened, what to do, and which event it was", async () => {
    const { text, blocks } = await sent();
    expect(text).toBe("A rollout failed: swarm-prod/web");
    expect(blocks).toEqual([
      {
        type: "header",
        block_id: "m-1",
        text: { type: "plain_text", text: "A rollout failed", emoji: false },
      },
      {
        type: "section",
        text: {
          type: "mrkdwn",
          text: "*swarm-prod/web*\nrollout 12 to docker.io/acme/web:v1: the task exits with 1",
          verbatim: true,
        },
      },
      {
        type: "context",
        elements: [
          {
            type: "mrkdwn",
            text: "`landfall explain WORKLOAD` tells why. · event `e-1`",
            verbatim: true,
          },
        ],
      },
    ]);
  });

  it("counts what it does not show", async () => {
    const notices = Array.from({ length: 50 }, (_, n) => notice({ subject: `swarm-prod/web-${n}` }));
    const { text, blocks } = await sent({ notices, more: 950 });
    expect(text).toBe("1000 rollouts failed");
    expect(blocks.filter(({ type }) => type === "section")).toHaveLength(20);
    expect(JSON.stringify(blocks.at(-1))).toContain("and 980 more");
  });

  it("calls nobody and links nothing, whatever a target's words are", async () => {
    const sentence = "exit <!channel> <@U012AB3CD> & <https://evil.example|click> *b* &lt;";
    const { blocks } = await sent({ notices: [notice({ subject: "swarm/<!here>", sentence })] });
    const printed = JSON.stringify(blocks);
    expect(printed).not.toMatch(/<|[^;]>/);
    expect(printed).toContain("&lt;!channel&gt;");
    expect(printed).toContain("&amp;lt;");
    expect(printed).not.toMatch(/"mrkdwn","text":"[^"]*"(?!,"verbatim":true)/);
  });

  it("keeps within Slack's limits, whatever it has to tell, and cuts no character in half", async () => {
    const words = fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 40 }),
      fc.constantFrom("&".repeat(5_000), "<>".repeat(2_000), "🚢".repeat(2_500), "x".repeat(9_000)),
    );
    const some = fc.record({ subject: fc.string({ minLength: 1 }), sentence: words, next: words });
    await fc.assert(
      fc.asyncProperty(
        fc.array(some, { minLength: 1, maxLength: 50 }),
        fc.nat(10_000),
        words,
        async (texts, more, event) => {
          const { blocks } = await sent({ notices: texts.map((each) => notice(each)), more, event });
          const all = blocks.flatMap((block) => ("text" in block ? [block.text] : block.elements));
          expect(all.reduce((sum, { text }) => sum + text.length, 0)).toBeLessThan(maxAll);
          for (const { text } of all) expect(text.isWellFormed()).toBe(true);
          for (const { text } of all) expect(text).not.toMatch(/&(?!(?:amp|lt|gt);)/);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("passes on the word by which Slack refuses it", async () => {
    receiver.answers.push({ status: 404, body: "no_service" });
    expect(await notifier.send(letter())).toEqual({ kind: "failed", reason: "it answered 404 no_service" });
  });
});
