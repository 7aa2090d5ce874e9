import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { afterAll, afterEach, describe, expect, it, onTestFinished } from "vitest";
import type { Rollout } from "../../shared/domain/rollout.ts";
import { distributionDelivery } from "../deliveries.ts";
import { type Landfall, startLandfall } from "./landfall.ts";
import { type ServiceEvent, type ServiceOptions, swarm } from "./services.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const engine = swarm();
const run = randomBytes(4).toString("hex");
const prefix = `e2e-many-${run}-`;
const path = `e2e-many/${run}`;
const repository = `${bed.registry}/${path}`;
const secret = "the-secret-of-many-services";

afterEach(() => engine.remove(prefix));
afterAll(async () => {
  await engine.removeImages(repository);
  engine.close();
});

describe("a push of one of many tags", () => {
  it("changes the ten services of that tag, of which the one that cannot run it goes back by itself, at the cost of one HEAD", async () => {
    const tags = ["v1", "v2", "v3", "v4", "v5"];
    const images = await pushAll(tags, "old");
    const services = Array.from({ length: 50 }, (_, index): ServiceOptions => {
      const tag = tags[index % tags.length] ?? "";
      return { name: `${prefix}${tag}-${String(index).padStart(2, "0")}`, image: images.get(tag) ?? "" };
    });
    const own = services.filter(({ name }) => name.startsWith(`${prefix}v3-`));
    const fragile = own[4]?.name ?? "";
    const refusesNew = '[ "$VERSION" = new ] && exit 3; exec /bin/busybox sleep 1000000';
    const created = services.map((each) =>
      each.name === fragile ? { ...each, args: ["sh", "-c", refusesNew] } : each,
    );
    const creatingMs = Date.now();
    await engine.create(created);
    const createdMs = Date.now();
    const landfall = await start({ maxParallel: 10 });
    const before = await facts(services);
    const requests = await landfallRequests();

    const pushed = await pushAll(["v3"], "new");
    const startedMs = Date.now();
    await landfall.deliver(delivery(["v3"], pushed));
    const rollouts = await landfall.ended(own.length + 1, 120_000);
    const tookMs = Date.now() - startedMs;

    const states = rollouts.map(({ workload, cause, state }) => `${workload} ${cause.kind} ${state}`);
    expect(states.toSorted()).toEqual(
      [
        ...own.map(({ name }) => `prod/${name} push ${name === fragile ? "rolled-back" : "succeeded"}`),
        `prod/${fragile} rollback succeeded`,
      ].toSorted(),
    );
    const failed = rollouts.find(({ state }) => state === "rolled-back");
    expect(failed).toMatchObject({ blame: "image" });
    expect(failed?.reason).toContain("update paused due to failure or early termination of task");
    const after = await facts(services);
    const changed = services.filter(({ name }) => after.get(name) !== before.get(name));
    expect(changed.map(({ name }) => name)).toEqual(own.map(({ name }) => name));
    for (const { name } of own.filter((each) => each.name !== fragile)) {
      expect(await engine.runningImages(name)).toEqual([pushed.get("v3")]);
    }
    expect(await engine.runningImages(fragile)).toEqual([images.get("v3")]);
    const asked = (await landfallRequests()).slice(requests.length);
    const manifests = asked.filter(({ url }) => url.includes("/manifests/"));
    const good = images.get("v3")?.split("@")[1];
    expect(manifests.filter(({ method }) => method === "HEAD").map(({ url }) => url)).toEqual([
      `/v2/${path}/manifests/v3`,
      // What it goes back to has to be there still.
      `/v2/${path}/manifests/${good}`,
    ]);
    // The platforms of the new image, and of the one that it goes back to.
    expect(manifests.filter(({ method }) => method === "GET").length).toBeLessThanOrEqual(2);

    console.log(
      `50 services created in ${createdMs - creatingMs} ms; 10 of them rolled out in ${tookMs} ms; Landfall asked the registry: ${asked.map(({ method, url }) => `${method} ${url.replace(path, "…")}`).join(", ")}; the failed one: ${failed?.reason}`,
    );
  });
});

describe("two tags pushed at once", () => {
  it("are rolled out four services at a time, with all else of each service as it was", async () => {
    const tags = ["a", "b"];
    const images = await pushAll(tags, "old");
    const extras = await container();
    const services = Array.from({ length: 24 }, (_, index): ServiceOptions => {
      const tag = tags[index % tags.length] ?? "";
      return {
        name: `${prefix}${tag}-${String(index).padStart(2, "0")}`,
        image: images.get(tag) ?? "",
        labels: { alpha: "first", team: `forms ${index}` },
        env: [`NUMBER=${index}`, "PASSWORD=hidden", 'QUOTED="é <&>"'],
        constraints: ["node.role==manager"],
        container: extras,
        order: "start-first",
      };
    });
    await engine.create(services);
    const specs = new Map<string, string>();
    for (const { name } of services) specs.set(name, rest(await engine.inspect(name)));
    const recorder = await engine.record();
    onTestFinished(() => recorder.stop());
    const landfall = await start({ maxParallel: 4 });

    const pushed = await pushAll(tags, "new");
    const startedMs = Date.now();
    await Promise.all(tags.map((tag) => landfall.deliver(delivery([tag], pushed))));
    const rollouts = await landfall.ended(services.length, 120_000);
    const tookMs = Date.now() - startedMs;

    expect(rollouts.map(({ workload, state }) => `${workload} ${state}`).toSorted()).toEqual(
      services.map(({ name }) => `prod/${name} succeeded`).toSorted(),
    );
    for (const { name, image } of services) {
      const tag = image.slice(repository.length + 1).split("@")[0] ?? "";
      const running = () => engine.runningImages(name);
      await expect.poll(running, { timeout: 10_000 }).toEqual([pushed.get(tag)]);
      expect(rest(await engine.inspect(name))).toBe(specs.get(name));
    }
    await expect.poll(() => updates(recorder.events).ended, { timeout: 10_000 }).toBe(services.length);
    const { most } = updates(recorder.events);
    const mostOpen = mostAtOnce(rollouts);
    expect(most).toBe(4);
    expect(mostOpen).toBeLessThanOrEqual(4);
    console.log(
      `24 services on 2 tags rolled out in ${tookMs} ms; at most ${most} updating by the engine's events, ${mostOpen} accepted and unfinished by the ledger`,
    );
  });
});

async function start(defaults: { readonly maxParallel: number }): Promise<Landfall> {
  const landfall = await startLandfall({
    config: {
      follow: [repository],
      webhooks: [{ source: "distribution", secrets: [secret] }],
      registries: [{ host: bed.registry, plainHttp: true }],
      targets: [{ name: "prod", kind: "swarm", host: bed.dockerHost }],
      defaults: { ...defaults, verify: { timeout: "2m", stableFor: "3s" } },
    },
  });
  onTestFinished(() => landfall.remove());
  return landfall;
}

/** Whole references by tag. */
async function pushAll(tags: readonly string[], version: string): Promise<ReadonlyMap<string, string>> {
  const images = new Map<string, string>();
  for (const tag of tags) {
    const behaviour = { env: [`VERSION=${version}`], labels: { run: `${run} ${tag}` } };
    images.set(tag, `${repository}:${tag}@${await bed.pushImage(path, tag, behaviour)}`);
  }
  return images;
}

function delivery(tags: readonly string[], pushed: ReadonlyMap<string, string>) {
  const pushes = tags.map((tag) => {
    const digest = pushed.get(tag)?.split("@")[1] ?? "";
    return { host: bed.registry, repository: path, tag, digest };
  });
  return distributionDelivery(secret, pushes);
}

/** Version and wanted tasks of each service, as one text. */
async function facts(services: readonly ServiceOptions[]): Promise<ReadonlyMap<string, string>> {
  const all = await Promise.all(
    services.map(async ({ name }): Promise<[string, string]> => {
      const { Version } = JSON.parse(await engine.inspect(name)) as { readonly Version: object };
      const wanted = (await engine.tasks(name)).filter((task) => task.DesiredState === "running");
      return [name, JSON.stringify([Version, wanted.map((task) => task.ID)])];
    }),
  );
  return new Map(all);
}

/** What Landfall has asked the open registry for so far about this run's repository. */
async function landfallRequests() {
  const lines = (await readFile(bed.registryLog, "utf8")).split("\n");
  return lines.flatMap((line) => {
    const [, method = "", url = ""] = /"([A-Z]+) (\S+) HTTP[^"]*" .*"landfall\//.exec(line) ?? [];
    return url.includes(`/${path}/`) ? [{ method, url }] : [];
  });
}

/** A configuration, a secret, a mount and a number that JavaScript cannot count to. */
async function container(): Promise<object> {
  const file = (Name: string) => ({ File: { Name, UID: "0", GID: "0", Mode: 0o444 } });
  const make = async (kind: "configs" | "secrets") => {
    const name = `${prefix}${kind}-${run}`;
    const body = { Name: name, Data: Buffer.from(kind).toString("base64") };
    const { ID } = await engine.call<{ readonly ID: string }>("POST", `/${kind}/create`, body);
    onTestFinished(async () => {
      await engine.remove(prefix);
      await engine.call("DELETE", `/${kind}/${ID}`);
    });
    return { ID, name };
  };
  const [config, secretFile] = [await make("configs"), await make("secrets")];
  return {
    Configs: [{ ...file("/settings.json"), ConfigID: config.ID, ConfigName: config.name }],
    Secrets: [{ ...file("password"), SecretID: secretFile.ID, SecretName: secretFile.name }],
    Mounts: [{ Type: "tmpfs", Target: "/cache", TmpfsOptions: { SizeBytes: 65_536 } }],
  };
}

/** The engine's own bytes of a service's spec, without what a rollout is there to change. */
function rest(service: string): string {
  const from = service.indexOf('"Spec":');
  const ends = ['"PreviousSpec":', '"Endpoint":']
    .map((key) => service.indexOf(key))
    .filter((at) => at > from);
  const spec = service.slice(from, Math.min(...ends));
  for (const part of ["alpha", "NUMBER=", "hidden", "settings.json", "password", "/cache", "node.role"]) {
    expect(spec).toContain(part);
  }
  return spec
    .replace(/"Image":"[^"]*"/, "")
    .replace(/"Platforms":\[[^\]]*\]/, "")
    .replace(/"landfall\.seq":"\d+",/, "");
}

/** How many updates have ended, and how many were under way at once at most. */
function updates(events: readonly ServiceEvent[]): { readonly ended: number; readonly most: number } {
  const updating = new Set<string>();
  let [ended, most] = [0, 0];
  const own = events.filter(({ service }) => service.startsWith(prefix));
  for (const { service, attributes } of own.toSorted((one, other) => Number(one.timeNs - other.timeNs))) {
    const state = attributes["updatestate.new"];
    if (state === undefined) continue;
    if (state === "updating") updating.add(service);
    else if (updating.delete(service)) ended++;
    most = Math.max(most, updating.size);
  }
  return { ended, most };
}

/** How many rollouts the target had accepted and the ledger had not ended, at most. */
function mostAtOnce(rollouts: readonly Rollout[]): number {
  const underWay = (atMs: number) =>
    rollouts.filter(({ times: { accepted = 0, finished = 0 } }) => accepted <= atMs && atMs < finished)
      .length;
  return Math.max(...rollouts.map(({ times: { accepted = 0 } }) => underWay(accepted)));
}
