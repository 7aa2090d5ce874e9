import { randomBytes } from "node:crypto";
import { afterAll, describe, expect, it } from "vitest";
import { distributionDelivery } from "../deliveries.ts";
import { startLandfall } from "./landfall.ts";
import { runProgram } from "./program.ts";
import { swarm } from "./services.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const engine = swarm();
const run = randomBytes(4).toString("hex");
const name = `e2e-orders-${run}-web`;
const path = `e2e-orders/${run}`;
const image = `${bed.registry}/${path}`;
const secret = "the-secret-of-orders-on-a-swarm";

afterAll(async () => {
  await engine.remove(name);
  await engine.removeImages(image);
  engine.close();
});

describe("a night at the command line", () => {
  it("puts a service back so that it stays, keeps the bad digest away, and lets it go on", async () => {
    const push = (version: string) => bed.pushImage(path, "v1", { labels: { version } });
    await engine.create([{ name, image: `${image}:v1@${await push("0")}` }]);
    const landfall = await startLandfall({
      config: {
        follow: [image],
        webhooks: [{ source: "distribution", secrets: [secret] }],
        registries: [{ host: bed.registry, plainHttp: true }],
        targets: [{ name: "prod", kind: "swarm", host: bed.dockerHost }],
        defaults: { verify: { timeout: "1m", stableFor: "2s" } },
      },
    });
    const shown: string[] = [];
    const cli = async (...words: readonly string[]) => {
      const out = await runProgram(words, landfall.env);
      shown.push(`$ landfall ${words.join(" ")}\n${out}`);
      return out;
    };
    const heard = async (digest: string, rollouts: number) => {
      const pushed = { host: bed.registry, repository: path, tag: "v1", digest };
      const event = await landfall.deliver(distributionDelivery(secret, [pushed]));
      const state = async () => (await landfall.ledger.get("events", event))?.value.state;
      await expect.poll(state, { timeout: 60_000 }).toBe("done");
      expect(await landfall.ended(rollouts)).toHaveLength(rollouts);
    };
    const runs = async () =>
      (await engine.tasks(name))
        .find((task) => task.DesiredState === "running")
        ?.Spec.ContainerSpec.Image.split("@")[1];
    try {
      const good = await push("1");
      await heard(good, 1);
      const bad = await push("2");
      await heard(bad, 2);

      await cli("rollback", name, "--reason", "checkout is slow", "--dry-run");
      expect(await runs()).toBe(bad);
      await cli("rollback", name, "--reason", "checkout is slow", "--wait");
      expect(await runs()).toBe(good);
      await heard(bad, 3);
      expect(await runs()).toBe(good);
      const status = await cli("status");
      expect(status).toMatch(
        /pinned +by \S+ .* by a rollback, until something newer comes: checkout is slow/,
      );

      await cli("hold", `${image}@${bad.slice(7, 19)}`, "--reason", "locks the cart table", "--wait");
      await cli("release", name, "--wait");
      await heard(bad, 3);
      expect(await runs()).toBe(good);

      await cli("pause", name, "--for", "2h", "--reason", "inventory", "--wait");
      const fixed = await push("3");
      await heard(fixed, 3);
      expect(await runs()).toBe(good);
      await cli("resume", name, "--wait");
      await landfall.ended(4);
      expect(await runs()).toBe(fixed);

      await cli("deploy", `${image}:v1`, name, "--until", "release", "--wait");
      await cli("explain", name, "--limit", "1");
      await cli("ledger", "--limit", "12");
    } finally {
      console.log(shown.join("\n"));
      await landfall.remove();
    }
  });
});
