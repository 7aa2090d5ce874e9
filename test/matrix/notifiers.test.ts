import { createHmac } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import {
  type NoticeReceiver,
  noticeReceiver,
  type ReceiverOptions,
  urlSecret,
} from "../doubles/notice-receiver.ts";
import { type Matrix, matrix } from "./world.ts";

const key = Buffer.from("0123456789abcdef0123456789abcdef");
const secret = `whsec_${key.toString("base64")}`;
const services = ["a", "b", "c", "d", "e", "f", "g", "h"];

let world: Matrix;
/** Tells the world that a call will not be answered. */
let onSilence: (call: string) => void = () => {};
const receivers: NoticeReceiver[] = [];
afterEach(async () => {
  await world.close();
  await Promise.all(receivers.splice(0).map((receiver) => receiver.close()));
});

async function receiving(options: ReceiverOptions = {}): Promise<NoticeReceiver> {
  const receiver = await noticeReceiver(options);
  receivers.push(receiver);
  return receiver;
}

const slackAt = ({ url }: NoticeReceiver) => `{ kind: slack, url: "${url}" }`;
const webhookAt = ({ url }: NoticeReceiver) => `{ kind: webhook, url: "${url}", secret: "${secret}" }`;

async function failingAt(names: readonly string[]): Promise<void> {
  const first = world.push();
  for (const name of names) await world.place().create(name, world.image(first), { tasks: 1 });
  await world.hear("bad", { digest: world.push("v1", { command: ["exit", "3", "100"] }) });
  await world.carryOn();
}

describe("a push that fails at eight services", () => {
  it("is one message at Slack and one at a webhook, authentic and without a secret", async () => {
    const [slack, webhook] = [await receiving(), await receiving()];
    world = await matrix({ notify: `${slackAt(slack)}, ${webhookAt(webhook)}` });
    await failingAt(services);
    expect(slack.received).toHaveLength(1);
    expect(webhook.received).toHaveLength(1);
    const [posted] = slack.received;
    expect(JSON.parse(posted?.body ?? "")).toMatchObject({
      text: expect.stringMatching(/^8 rollouts failed/),
    });
    const [event] = webhook.received;
    const { headers, body } = event ?? {
      headers: {} as NoticeReceiver["received"][number]["headers"],
      body: "",
    };
    const { id, type, data } = JSON.parse(body);
    expect(type).toMatch(/^landfall\.notice\.(?:failed|rolled-back)$/);
    expect(data.event).toBe("bad");
    expect(data.notices.map(({ subject }: { subject: string }) => subject).toSorted()).toEqual(
      services.map((name) => `swarm/${name}`),
    );
    const signed = `${id}.${headers["webhook-timestamp"]}.${body}`;
    expect(headers).toMatchObject({
      "webhook-id": id,
      "webhook-signature": `v1,${createHmac("sha256", key).update(signed).digest("base64")}`,
    });
    const said = [posted?.body, body, JSON.stringify(headers), ...world.logged].join("\n");
    expect(said).not.toContain(urlSecret);
    expect(said).not.toContain(secret);
    expect(said).not.toContain(key.toString("base64"));
  });
});

describe("a notifier", () => {
  it("that fails three times takes exactly one message", async () => {
    const slack = await receiving();
    slack.answers.push(
      { status: 500 },
      { status: 429, headers: { "retry-after": "90" } },
      { status: 404, body: "no_team" },
    );
    world = await matrix({ notify: slackAt(slack) });
    await failingAt(["web"]);
    expect(slack.received).toHaveLength(4);
    expect(slack.accepted).toHaveLength(1);
    expect(new Set(slack.received.map(({ body }) => body)).size).toBe(1);
    const warnings = world.logged.filter((line) => line.includes("not told yet"));
    expect(warnings.map((line) => /it answered [^;]*/.exec(line)?.[0])).toEqual([
      "it answered 500",
      "it answered 429",
      "it answered 404 no_team",
    ]);
    expect(world.logged.join("\n")).not.toContain(urlSecret);
  });

  interface Story {
    /** When each rollout ended, ms on the clock of the test. */
    readonly endedMs: readonly (number | undefined)[];
    readonly sweepTookMs: number;
    readonly told: number;
  }

  /** A rollout has failed, and another one waits for its target: one sweep tells of the first and carries on the second. */
  async function story(slack?: NoticeReceiver): Promise<Story> {
    const webhook = await receiving();
    const dead = slack === undefined ? "" : `, ${slackAt(slack)}`;
    world = await matrix({
      targets: [
        { name: "swarm", kind: "swarm" },
        { name: "other", kind: "swarm" },
      ],
      notify: `${webhookAt(webhook)}${dead}`,
      silence: (tell) => {
        onSilence = tell;
      },
    });
    const first = world.push();
    await world.place().create("web", world.image(first), { tasks: 1 });
    await world.hear("bad", { digest: world.push("v1", { command: ["exit", "3", "100"] }) });
    const other = world.place("other");
    await other.create("api", world.image(first, "v2"), { tasks: 1 });
    world.push("v2");
    await world.publish("good", { tag: "v2" });
    await other.way.refuse();
    await world.rest();
    await other.way.admit();
    await world.pass(60_000);
    const startMs = world.clock.now();
    const startedMs = world.clock.monotonic();
    await world.sweep();
    const sweepTookMs = world.clock.monotonic() - startedMs;
    await world.rest();
    const rollouts = await world.ledger.rollouts({}, 10);
    expect(rollouts[0]?.value).toMatchObject({ workload: "other/api", state: "succeeded" });
    expect(rollouts[0]?.value.times.accepted).toBeGreaterThanOrEqual(startMs);
    return {
      endedMs: rollouts.map(({ value }) => value.times.finished),
      sweepTookMs,
      told: webhook.accepted.length,
    };
  }

  it("that never answers delays nothing and nobody: as if it were not there", async () => {
    const without = await story();
    await world.close();
    const silent = await receiving({ always: "hang", onSilence: (call) => onSilence(call) });
    const withSilent = await story(silent);
    expect(silent.received).toHaveLength(1);
    expect(without.told).toBe(1);
    expect(without.endedMs.length).toBeGreaterThan(1);
    expect(withSilent.endedMs).toEqual(without.endedMs);
    expect(withSilent.told).toBe(without.told);
    expect(withSilent.sweepTookMs).toBeLessThanOrEqual(Math.max(without.sweepTookMs, 10_000));
  });
});
