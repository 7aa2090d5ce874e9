import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it, onTestFinished } from "vitest";
import { engineAt } from "../../functions/local/sandbox/swarmpit/engine.ts";
import { startSandboxSwarmpit } from "../../functions/local/sandbox/swarmpit/swarmpit.ts";
import { systemClock } from "../../shared/clock.ts";
import type { Rollout } from "../../shared/domain/rollout.ts";
import { dockerhubDelivery } from "../deliveries.ts";
import { hearPushes, notifySecret, startLandfall } from "./landfall.ts";
import { swarm } from "./services.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const engine = swarm();
const run = randomBytes(4).toString("hex");
const prefix = `e2e-push-${run}-`;
const service = `${prefix}web`;
const path = `e2e-push/${run}`;
const repository = `${bed.registry}/${path}`;
const image = `${repository}/web:v1`;
const replicas = 2;

interface Place {
  readonly name: string;
  /** A target of the configuration, without its name. */
  readonly target: () => Promise<object>;
}

const bySocket: Place = {
  name: "a Docker Swarm by its socket",
  target: async () => ({ kind: "swarm", host: bed.dockerHost }),
};
const places: readonly Place[] = [
  bySocket,
  {
    name: "a Docker Swarm by TLS",
    target: async () => {
      const fromFile = (name: string) => `\${file:${join(bed.dockerCertPath, name)}}`;
      const tls = { ca: fromFile("ca.pem"), cert: fromFile("cert.pem"), key: fromFile("key.pem") };
      return { kind: "swarm", host: bed.dockerTlsHost, tls };
    },
  },
  {
    name: "a Swarmpit",
    target: async () => {
      const behind = engineAt(bed.dockerHost);
      const registryAccounts = [{ url: `http://${bed.registry}` }];
      const swarmpit = await startSandboxSwarmpit({ engine: behind, clock: systemClock, registryAccounts });
      onTestFinished(async () => {
        await swarmpit.close();
        await behind.close();
      });
      return { kind: "swarmpit", url: swarmpit.url, token: swarmpit.token() };
    },
  },
];

afterEach(() => engine.remove(prefix));
afterAll(async () => {
  await engine.removeImages(`${repository}/web`);
  engine.close();
});

describe("a docker push", () => {
  it.each(places)("reported by the registry itself reaches the containers of $name", async (place) => {
    const webhook = {
      source: "distribution",
      secrets: [notifySecret()],
      repositories: [`${repository}/*`],
    };
    await runOldContent();
    const landfall = await start(webhook, await place.target());
    await hearPushes(landfall);
    const content = `new for ${place.name}`;

    const pushingMs = Date.now();
    await bed.buildAndPush(image, content);
    const pushedMs = Date.now();

    const [rollout] = await landfall.ended(1);
    await expectEverywhere(content, rollout);
    printTimes(place.name, rollout, pushingMs, pushedMs);
  });

  it("reported by Docker Hub for the host that the services name reaches their containers", async () => {
    const secret = "a-secret-that-docker-hub-knows";
    const hostAliases = { "docker.io": bed.registry };
    const webhook = { source: "dockerhub", secrets: [secret], hostAliases };
    await runOldContent();
    const landfall = await start(webhook, await bySocket.target());

    const pushingMs = Date.now();
    await bed.buildAndPush(image, "new by Docker Hub");
    const pushedMs = Date.now();
    await landfall.deliver(dockerhubDelivery(secret, { repository: `${path}/web`, tag: "v1" }));

    const [rollout] = await landfall.ended(1);
    await expectEverywhere("new by Docker Hub", rollout);
    printTimes("Docker Hub's payload", rollout, pushingMs, pushedMs);
    expect(rollout?.cause).toMatchObject({ kind: "push", by: "acmebot" });
  });
});

/** A service as a person creates it: by the command line, which pins the tag to what it is now. */
async function runOldContent(): Promise<void> {
  await bed.buildAndPush(image, "old");
  const fast = ["--stop-signal", "SIGKILL", "--update-monitor", "1s", "--update-parallelism", "2"];
  await bed.createService(service, image, "--replicas", String(replicas), ...fast);
  await expect.poll(contents, { timeout: 30_000 }).toEqual(Array(replicas).fill("old"));
}

async function start(webhook: object, target: object) {
  const landfall = await startLandfall({
    config: {
      follow: [`${repository}/*`],
      webhooks: [webhook],
      registries: [{ host: bed.registry, plainHttp: true }],
      targets: [{ name: "prod", ...target }],
      defaults: { verify: { timeout: "1m", stableFor: "1s" } },
    },
  });
  onTestFinished(() => landfall.remove());
  return landfall;
}

/** What the file `/content` says in each running container of the service. */
async function contents(): Promise<readonly string[]> {
  const filter = ["--filter", `label=com.docker.swarm.service.name=${service}`];
  const ids = (await bed.docker("ps", "--quiet", ...filter)).split("\n").filter((id) => id !== "");
  return Promise.all(ids.map((id) => bed.docker("exec", id, "/bin/busybox", "cat", "/content")));
}

async function expectEverywhere(content: string, rollout: Rollout | undefined): Promise<void> {
  expect(await contents()).toEqual(Array(replicas).fill(content));
  const pushed = await bed.docker("image", "inspect", "--format", "{{json .RepoDigests}}", image);
  const [digest] = pushed.match(/sha256:[0-9a-f]{64}/) ?? [];
  expect(await engine.runningImages(service)).toEqual(Array(replicas).fill(`${image}@${digest}`));

  expect(rollout).toMatchObject({ workload: `prod/${service}`, state: "succeeded", seq: 1 });
  expect(rollout?.to[service]).toMatchObject({ repository: `${repository}/web`, tag: "v1", digest });
  const { heard, observed, planned, applying, accepted, finished } = rollout?.times ?? { planned: 0 };
  const times = [heard, observed, planned, applying, accepted, finished].map(Number);
  expect(times).toEqual(times.toSorted((one, other) => one - other));
  expect(times).not.toContain(Number.NaN);
}

function printTimes(name: string, rollout: Rollout | undefined, pushingMs: number, pushedMs: number): void {
  if (rollout === undefined) return;
  const { heard = 0, observed = 0, planned, applying = 0, accepted = 0, finished = 0 } = rollout.times;
  const steps = { observed, planned, applying, accepted, finished };
  const since = Object.entries(steps).map(([step, timeMs]) => `${step} +${timeMs - heard}`);
  const before = `docker build and push ${pushedMs - pushingMs} ms, heard ${heard - pushedMs} ms after it`;
  console.log(`${name}: ${before}; since heard, ms: ${since.join(", ")}`);
}
