import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { type Digest, printReference, type Reference } from "../../shared/domain/reference.ts";
import type { Platform, Workload } from "../../shared/domain/workload.ts";
import type { SwarmConfig } from "../../shared/targets/swarm/config.ts";
import { create } from "../../shared/targets/swarm/swarm.ts";
import type { Target } from "../../shared/targets/target.ts";
import { targetContract } from "../contracts/target.ts";
import { type ImageBehaviour, testbed } from "./testbed.ts";

const bed = testbed();
const prefix = "e2e-swarm-";
const repository = "e2e-swarm/web";
const secret = (template: string) => () => template;
const context = { secret, pullCredentials: () => undefined };
let built = 0;

const bySocket: SwarmConfig = { name: "swarm", kind: "swarm", host: bed.dockerHost };
const certificates = {
  ca: readFileSync(join(bed.dockerCertPath, "ca.pem"), "utf8"),
  cert: readFileSync(join(bed.dockerCertPath, "cert.pem"), "utf8"),
  key: readFileSync(join(bed.dockerCertPath, "key.pem"), "utf8"),
};
const byTls: SwarmConfig = { name: "swarm", kind: "swarm", host: bed.dockerTlsHost, tls: certificates };

for (const [how, config, nowhere] of [
  ["a Docker Swarm by socket", bySocket, { ...bySocket, host: "unix:///nowhere/docker.sock" }],
  ["a Docker Swarm by TLS", byTls, { ...byTls, host: "tcp://127.0.0.1:1" }],
] as const) {
  targetContract(
    how,
    { pins: true, fences: true, rollsBackTo: "any", losesAnswers: config === bySocket },
    async () => {
      const relay = config === bySocket ? await lossyRelay() : undefined;
      const target = create(relay === undefined ? config : { ...config, host: relay.host }, context);
      return {
        target,
        ...(relay === undefined ? {} : { loseNextAnswer: relay.loseNextAnswer }),
        unreachable: create(nowhere, context),
        prefix,
        async publish(tag, behaviour) {
          const digest = await push(tag, behaviour === "exits" ? { cmd: ["sh", "-c", "exit 3"] } : {});
          if (behaviour === "gone") await bed.deleteManifest(repository, digest);
          return { repository: `${bed.registry}/${repository}`, tag, digest };
        },
        createWorkload: (name, image, options = {}) =>
          bed.createService(
            name,
            printReference(image),
            ...["--replicas", String(options.tasks ?? 1), "--update-monitor", "2s", "--restart-delay", "1s"],
            ...flags("--label", options.labels),
            ...flags("--container-label", options.containerLabels),
            ...["--env", "PASSWORD=hidden", "--limit-pids", "100", "--restart-max-attempts", "0"],
          ),
        touch: async (name) =>
          void (await bed.docker("service", "update", "--detach", "--label-add", "touched=yes", name)),
        remove: (name) => bed.removeServices(name),
        async rest(name) {
          const { Spec } = (await bed.inspectService(name)) as { readonly Spec: object };
          const changes = ["Image", "Platforms", "landfall.seq"];
          return JSON.parse(
            JSON.stringify(Spec, (key, value) => (changes.includes(key) ? undefined : value)),
          );
        },
        pass: () => pause(250),
        async close() {
          await target.close();
          await relay?.close();
          await bed.removeServices(prefix);
        },
      };
    },
  );
}

describe("a write to a real Docker Swarm", () => {
  const target = create(bySocket, context);
  const name = `${prefix}stack_web`;
  afterEach(async () => {
    await bed.docker("stack", "rm", `${prefix}stack`).catch(() => "");
    await bed.removeServices(prefix);
  });

  it.each<{ name: string; platforms: readonly Platform[] | undefined }>([
    { name: "a single image", platforms: undefined },
    {
      name: "an index with arm, a variant and an attestation",
      platforms: [
        { os: "linux", architecture: "arm64", variant: "v8" },
        { os: "linux", architecture: "amd64" },
        { os: "linux", architecture: "arm", variant: "v7" },
        { os: "unknown", architecture: "unknown" },
      ],
    },
  ])("is what the docker command line would have written: $name", async ({ platforms }) => {
    const folder = await mkdtemp(join(tmpdir(), "landfall-"));
    const file = join(folder, "stack.yaml");
    const image = `${bed.registry}/${repository}:stack`;
    await writeFile(
      file,
      [
        'version: "3.8"',
        `services: { web: { image: "${image}", networks: [hostnet], stop_grace_period: 1s,`,
        `  environment: { A: b }, deploy: { labels: { team: forms }, update_config: { monitor: 1s } } } }`,
        "networks: { hostnet: { external: true, name: host } }",
      ].join("\n"),
    );
    const deploy = () =>
      bed.docker("stack", "deploy", "--detach=true", "--compose-file", file, `${prefix}stack`);

    await push("stack");
    await deploy();
    const digest = platforms === undefined ? await push("stack") : await pushIndex("stack", platforms);
    const offered = platforms ?? [{ os: "linux", architecture: "amd64" }];
    const before = await read(target, name);
    const images = {
      [name]: { repository: `${bed.registry}/${repository}`, tag: "stack", digest } as Reference,
    };
    expect(await target.update(before, { seq: 9, images, platforms: offered })).toEqual({
      kind: "accepted",
    });
    const ours = (await bed.inspectService(name)) as { readonly Spec: { readonly TaskTemplate: object } };
    await deploy();
    const theirs = (await bed.inspectService(name)) as typeof ours;
    expect(theirs.Spec.TaskTemplate).toEqual(ours.Spec.TaskTemplate);
    expect(JSON.stringify(ours.Spec.TaskTemplate)).toContain(`${image}@${digest}`);
    await rm(folder, { recursive: true });
  });

  it("keeps what JavaScript cannot count to", async () => {
    const image = {
      repository: `${bed.registry}/${repository}`,
      tag: "big",
      digest: await push("big"),
    } as const;
    await bed.createService(
      `${prefix}big`,
      printReference(image),
      "--restart-max-attempts",
      "18446744073709551615",
    );
    const next = { ...image, digest: await push("big") };
    const before = await read(target, `${prefix}big`);
    expect(await target.update(before, { seq: 1, images: { [`${prefix}big`]: next } })).toEqual({
      kind: "accepted",
    });
    const after = await bed.docker("service", "inspect", `${prefix}big`);
    expect(after).toContain('"MaxAttempts": 18446744073709551615');
  });

  it("hands nodes the credentials that they pull with", async () => {
    const service = `${prefix}auth`;
    const digest = await push("auth", { on: "protected" });
    const image = { repository: `${bed.registryAuth}/${repository}`, tag: "auth", digest } as const;
    await bed.createService(service, bed.baseImage, "--restart-delay", "1s");
    const deployWith = async (password: string, seq: number) => {
      const own = create(bySocket, {
        secret,
        pullCredentials: (host) =>
          host === bed.registryAuth ? { username: "landfall", password } : undefined,
      });
      const images = { [service]: image };
      expect(await own.update(await read(own, service), { seq, images })).toEqual({ kind: "accepted" });
      await own.close();
    };
    const tasks = async () => (await target.look(service))?.tasks ?? [];

    await deployWith("wrong?~", 1);
    await expect
      .poll(tasks, { timeout: 30_000 })
      .toContainEqual(
        expect.objectContaining({ environment: true, error: `No such image: ${printReference(image)}` }),
      );
    await deployWith("landfall-secret", 2);
    await expect
      .poll(tasks, { timeout: 30_000 })
      .toContainEqual(
        expect.objectContaining({ state: "running", images: { [service]: printReference(image) } }),
      );
  });

  it("names the platforms of the nodes as images name them", async () => {
    expect(await target.platforms()).toEqual([
      { os: "linux", architecture: expect.stringMatching(/^(amd64|arm64)$/) },
    ]);
  });

  it("tells a refused update in the engine's words", async () => {
    const image = {
      repository: `${bed.registry}/${repository}`,
      tag: "no",
      digest: await push("no"),
    } as const;
    await bed.createService(`${prefix}no`, printReference(image));
    const before = await read(target, `${prefix}no`);
    const raw = structuredClone(before.raw) as { Spec: { Name: string } };
    raw.Spec.Name = `${prefix}other`;
    const images = { [`${prefix}no`]: image };
    expect(await target.update({ ...before, raw }, { seq: 1, images })).toMatchObject({
      kind: "refused",
      message: expect.stringContaining("renaming services is not supported"),
    });
  });
});

describe("the door of a real Docker engine", () => {
  const { cert: _, key: __, ...caOnly } = certificates;
  const foreign = readFileSync(join(bed.dockerCertPath, "server.pem"), "utf8");
  const foreignKey = readFileSync(join(bed.dockerCertPath, "server-key.pem"), "utf8");

  it.each<{ name: string; config: SwarmConfig; code: string; words: RegExp }>([
    {
      name: "a certificate that is for no client",
      config: { ...byTls, tls: { ...caOnly, cert: foreign, key: foreignKey } },
      code: "TARGET_UNAVAILABLE",
      words: /does not trust `tls.cert`/,
    },
    {
      name: "a key of another certificate",
      config: { ...byTls, tls: { ...certificates, key: foreignKey } },
      code: "TARGET_DENIED",
      words: /key values mismatch.*check `tls.ca`/,
    },
    {
      name: "an authority that did not sign the engine's certificate",
      config: { ...byTls, tls: { ...certificates, ca: certificates.cert } },
      code: "TARGET_UNAVAILABLE",
      words: /verify/,
    },
    {
      name: "plain words where TLS is spoken",
      config: { name: "swarm", kind: "swarm", host: bed.dockerTlsHost },
      code: "TARGET_UNAVAILABLE",
      words: /HTTP request to an HTTPS server/,
    },
  ])("stays closed to $name", async ({ config, code, words }) => {
    const target = create(config, context);
    await expect(target.list()).rejects.toMatchObject({ code, message: expect.stringMatching(words) });
    await target.close();
  });
});

/** A socket in front of the engine's that can cut a connection when the engine begins to answer. */
async function lossyRelay() {
  const folder = await mkdtemp(join(tmpdir(), "landfall-"));
  const path = join(folder, "docker.sock");
  let armed = false;
  const server = createServer((client) => {
    const engine = connect(bed.dockerHost.slice("unix://".length));
    client.pipe(engine);
    engine.on("data", (chunk) => {
      if (!armed) return client.write(chunk);
      armed = false;
      client.destroy();
      return engine.destroy();
    });
    for (const [one, other] of [
      [client, engine],
      [engine, client],
    ] as const) {
      one.on("error", () => other.destroy()).on("close", () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    host: `unix://${path}`,
    loseNextAnswer: () => {
      armed = true;
    },
    close: async () => {
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true });
    },
  };
}

/** Each time another image. */
function push(tag: string, behaviour: ImageBehaviour = {}): Promise<Digest> {
  return bed.pushImage(repository, tag, { ...behaviour, labels: { build: `${process.pid}-${++built}` } });
}

function pushIndex(tag: string, platforms: readonly Platform[]): Promise<Digest> {
  return bed.pushIndex(repository, tag, platforms, { labels: { build: `${process.pid}-${++built}` } });
}

async function read(target: Target, name: string): Promise<Workload> {
  const found = await target.get(name);
  if (found === undefined) throw new Error(`${name} is not there`);
  return found;
}

function flags(flag: string, values: Readonly<Record<string, string>> = {}): string[] {
  return Object.entries(values).flatMap(([key, value]) => [flag, `${key}=${value}`]);
}
