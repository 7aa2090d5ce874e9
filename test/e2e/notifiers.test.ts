import { createHmac } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, expect, it, onTestFinished } from "vitest";
import { dockerhubDelivery } from "../deliveries.ts";
import { noticeReceiver, urlSecret } from "../doubles/notice-receiver.ts";
import { startLandfall } from "./landfall.ts";
import { swarm } from "./services.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const engine = swarm();
const prefix = "e2e-notify-";
const path = `e2e-notify/${Date.now().toString(36)}`;
const repository = `${bed.registry}/${path}`;
const names = ["a", "b", "c"].map((name) => `${prefix}${name}`);
const hookSecret = "a-secret-that-docker-hub-knows";
const timerToken = "a-token-of-the-scheduler";
const key = Buffer.from("0123456789abcdef0123456789abcdef");

afterEach(() => engine.remove(prefix));
afterAll(async () => {
  await engine.removeImages(repository);
  engine.close();
});

it("tells of a bad push at three services of a Docker Swarm in one message, to Slack that fails once and to a webhook", async () => {
  const [slack, webhook] = [await noticeReceiver(), await noticeReceiver()];
  onTestFinished(async () => void (await Promise.all([slack.close(), webhook.close()])));
  slack.answers.push({ status: 503 });
  const good = await bed.pushImage(path, "v1");
  await engine.create(names.map((name) => ({ name, image: `${repository}:v1@${good}` })));
  const landfall = await startLandfall({
    env: {
      SLACK_URL: slack.url,
      OPS_URL: webhook.url,
      NOTIFY_SECRET: `whsec_${key.toString("base64")}`,
      TIMER_TOKEN: timerToken,
    },
    config: {
      follow: [`${bed.registry}/e2e-notify/*`],
      webhooks: [{ source: "dockerhub", secrets: [hookSecret], hostAliases: { "docker.io": bed.registry } }],
      registries: [{ host: bed.registry, plainHttp: true }],
      targets: [{ name: "prod", kind: "swarm", host: bed.dockerHost }],
      defaults: { verify: { timeout: "1m", stableFor: "1s" }, maxParallel: 1 },
      notify: [
        { kind: "slack", url: "${SLACK_URL}" },
        { kind: "webhook", url: "${OPS_URL}", secret: "${NOTIFY_SECRET}" },
      ],
      reconcile: { auth: [{ kind: "bearer", token: "${TIMER_TOKEN}" }] },
    },
  });
  onTestFinished(() => landfall.remove());

  const bad = await bed.pushImage(path, "v1", { cmd: ["sh", "-c", "exit 3"] });
  const event = await landfall.deliver(dockerhubDelivery(hookSecret, { repository: path, tag: "v1" }));
  const startedMs = Date.now();
  for (const deadline = startedMs + 240_000; slack.accepted.length === 0 && Date.now() < deadline; ) {
    const headers = { authorization: `Bearer ${timerToken}`, "content-type": "application/json" };
    const swept = await fetch(`${landfall.url}/reconcile`, {
      method: "POST",
      headers,
      body: '{"mode":"sweep"}',
    });
    expect(swept.status).toBe(200);
    await pause(500);
  }
  const ended = await landfall.ended(6);
  console.log(
    `told ${Date.now() - startedMs} ms after the push; the last rollout ended after ${Math.max(...ended.map(({ times }) => times.finished ?? 0)) - startedMs} ms`,
  );

  expect(slack.received).toHaveLength(2);
  expect(slack.accepted).toHaveLength(1);
  expect(new Set(slack.received.map(({ body }) => body)).size).toBe(1);
  expect(JSON.parse(slack.accepted[0]?.body ?? "").text).toBe("3 rollouts failed and were undone");
  expect(webhook.received).toHaveLength(1);
  const [{ body, headers } = { body: "{}", headers: {} as Record<string, string> }] = webhook.received;
  const told = JSON.parse(body);
  expect(told).toMatchObject({ type: "landfall.notice.rolled-back", data: { event, more: 0 } });
  expect(told.data.notices).toHaveLength(3);
  for (const notice of told.data.notices) {
    expect(names.map((name) => `prod/${name}`)).toContain(notice.subject);
    expect(notice.images).toEqual([`${repository}:v1@${bad}`]);
    expect(notice.sentence).toContain("non-zero exit (3)");
  }
  const signed = `${told.id}.${headers["webhook-timestamp"]}.${body}`;
  expect(headers["webhook-signature"]).toBe(
    `v1,${createHmac("sha256", key).update(signed).digest("base64")}`,
  );
  const everything = `${landfall.log()}${body}${slack.accepted[0]?.body}`;
  for (const secret of [urlSecret, key.toString("base64"), timerToken])
    expect(everything).not.toContain(secret);
  for (const name of names) expect(await engine.runningImages(name)).toEqual([`${repository}:v1@${good}`]);
}, 300_000);
