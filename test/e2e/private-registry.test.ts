import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { distributionDelivery } from "../deliveries.ts";
import { startLandfall } from "./landfall.ts";
import { swarm } from "./services.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const engine = swarm();
const service = "e2e-private-web";
const path = `e2e-private/${Date.now().toString(36)}`;
const repository = `${bed.registryAuth}/${path}`;
const secret = "the-secret-of-a-private-registry";
let folder = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "landfall-private-"));
  await writeFile(join(folder, "password"), "landfall-secret");
  // A person's `docker login`: the command line finds it in its own folder.
  const auth = Buffer.from("landfall:landfall-secret").toString("base64");
  await writeFile(join(folder, "config.json"), JSON.stringify({ auths: { [bed.registryAuth]: { auth } } }));
});
afterEach(() => engine.remove(service));
afterAll(async () => {
  await engine.removeImages(repository);
  engine.close();
  await rm(folder, { recursive: true });
});

describe("an image of a registry with a password", () => {
  it.each([
    { nodes: "keep", options: ["--with-registry-auth"], who: "that the service was created with" },
    { nodes: "same", options: [], who: "of Landfall itself, which the service never had" },
  ])(
    "is pulled with the credentials $who, now and when the node has lost it: nodes: $nodes",
    async (each) => {
      const tag = each.nodes;
      const image = `${repository}:${tag}`;
      await push(tag, "old");
      await bed.docker("--config", folder, "pull", "--quiet", image);
      const fast = ["--detach", "--network", "host", "--stop-signal", "SIGKILL", "--update-monitor", "1s"];
      const slowRestart = ["--restart-delay", "3s"];
      const options = [...fast, ...slowRestart, ...each.options];
      await bed.docker("--config", folder, "service", "create", "--name", service, ...options, image);
      await expect.poll(running, { timeout: 30_000 }).toHaveLength(1);
      const landfall = await start(each.nodes);

      const digest = await push(tag, "new");
      const reported = { host: bed.registryAuth, repository: path, tag, digest };
      await landfall.deliver(distributionDelivery(secret, [reported]));
      const [rollout] = await landfall.ended(1);
      expect(rollout).toMatchObject({ state: "succeeded" });
      expect(await engine.runningImages(service)).toEqual([`${image}@${digest}`]);

      const [task] = await running();
      await bed.docker("kill", task?.Status.ContainerStatus?.ContainerID ?? "");
      await bed.docker("image", "rm", "--force", `${repository}@${digest}`);
      await expect(bed.docker("image", "inspect", `${repository}@${digest}`)).rejects.toThrow(
        /No such image/,
      );
      const killedMs = Date.now();

      await expect
        .poll(running, { timeout: 60_000 })
        .toEqual([expect.not.objectContaining({ ID: task?.ID })]);
      expect(await engine.runningImages(service)).toEqual([`${image}@${digest}`]);
      console.log(`nodes: ${each.nodes}: running again ${Date.now() - killedMs} ms after the image was gone`);
    },
  );
});

async function start(nodes: string) {
  const password = `\${file:${join(folder, "password")}}`;
  const landfall = await startLandfall({
    config: {
      follow: [repository],
      webhooks: [{ source: "distribution", secrets: [secret] }],
      registries: [{ host: bed.registryAuth, plainHttp: true, username: "landfall", password, nodes }],
      targets: [{ name: "prod", kind: "swarm", host: bed.dockerHost }],
      defaults: { verify: { timeout: "1m", stableFor: "1s" } },
    },
  });
  onTestFinished(() => landfall.remove());
  return landfall;
}

function push(tag: string, content: string) {
  return bed.pushImage(path, tag, { labels: { content: `${path} ${content}` }, on: "protected" });
}

async function running() {
  return (await engine.tasks(service)).filter(
    (task) => task.Status.State === "running" && task.DesiredState === "running",
  );
}
