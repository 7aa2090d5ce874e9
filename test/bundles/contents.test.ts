import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type FunctionName, framework, functionNames } from "../../infra/build/bundle.ts";
import { sizesOf, sourcesAtStart, sourcesIn } from "../../infra/build/contents.ts";
import { type Built, buildAll, readLockFile } from "./built.ts";

let built: Built;

beforeAll(async () => {
  built = await buildAll();
}, 60_000);
afterAll(() => built.remove());

function ownIn(name: FunctionName): readonly string[] {
  return [...sourcesIn(built.metafiles[name]).keys()].filter((path) => !path.startsWith("node_modules/"));
}

function packagesIn(name: FunctionName): readonly string[] {
  const packages = [...sourcesIn(built.metafiles[name]).keys()].flatMap(
    (path) => /^.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? [],
  );
  return [...new Set(packages)].toSorted();
}

describe("the bundle of webhook", () => {
  it("holds no package but schemas and YAML: no HTTP client, no cloud library", () => {
    expect(packagesIn("webhook")).toEqual(["yaml", "zod"]);
  });

  it("holds no registry, history, target, ledger or decision, but the schemas of their configuration", () => {
    const own = ownIn("webhook");
    expect(own.length).toBeGreaterThan(30);
    const others = own.filter((path) => /^shared\/(?:registry|history|targets|ledger|decide)\//.test(path));
    expect(others.filter((path) => !path.endsWith("/config.ts"))).toEqual([]);
    expect(others.length).toBeGreaterThan(0);
  });

  it("holds of the flows only what receives", () => {
    const flows = ownIn("webhook").filter((path) => path.startsWith("shared/flows/"));
    expect(flows.toSorted()).toEqual(["shared/flows/admit.ts", "shared/flows/receive.ts"]);
  });

  it("holds of YAML what reads it, not what prints its syntax tree", () => {
    const yaml = [...sourcesIn(built.metafiles.webhook).keys()].filter((path) => path.includes("/yaml/"));
    expect(yaml).toContain("node_modules/yaml/browser/dist/parse/parser.js");
    expect(yaml.filter((path) => path.endsWith("/cst-stringify.js"))).toEqual([]);
  });

  it("reads less than 256 KiB before it answers, and is below 512 KiB in all", () => {
    const { startBytes, allBytes } = sizesOf(built.metafiles.webhook);
    expect(startBytes).toBeLessThan(256 * 1024);
    expect(allBytes).toBeLessThan(512 * 1024);
    expect(allBytes).toBeGreaterThan(startBytes);
  });
});

describe("the bundles of builds and reconcile", () => {
  it.each<{ name: FunctionName }>([{ name: "builds" }, { name: "reconcile" }])(
    "$name holds the registry, each kind of target and of git host, and the ledger",
    ({ name }) => {
      expect(ownIn(name)).toEqual(
        expect.arrayContaining([
          `functions/entries/${name}.ts`,
          "shared/registry/oci/oci-registry.ts",
          "shared/targets/swarm/swarm.ts",
          "shared/targets/swarmpit/swarmpit.ts",
          "shared/targets/kubernetes/kubernetes.ts",
          "shared/history/github.ts",
          "shared/history/gitiles.ts",
          "shared/history/git/git.ts",
          "shared/ledger/embedded.ts",
          "shared/ledger/firestore.ts",
          "shared/bus/pubsub.ts",
        ]),
      );
      expect(packagesIn(name)).toEqual(
        expect.arrayContaining(["@google-cloud/firestore", "semver", "undici", "yaml", "zod"]),
      );
    },
  );

  it("load a library of Google's with the first target or ledger that needs it, and no sooner", () => {
    for (const name of ["builds", "reconcile"] as const) {
      const late = ["google-auth-library", "@google-cloud/firestore", "undici"];
      expect(packagesIn(name)).toEqual(expect.arrayContaining(late));
      const atStart = sourcesAtStart(built.metafiles[name]);
      expect(atStart).toContain("shared/targets/kubernetes/config.ts");
      expect(atStart).not.toContain("shared/targets/kubernetes/kubernetes.ts");
      expect(atStart).toContain("shared/history/config.ts");
      expect(atStart.filter((path) => path.startsWith("shared/history/"))).toEqual([
        "shared/history/config.ts",
      ]);
      expect(atStart.filter((path) => late.some((each) => path.includes(`node_modules/${each}/`)))).toEqual(
        [],
      );
    }
  });

  it("none pulls messages: Pub/Sub calls them", () => {
    for (const name of functionNames) {
      expect(ownIn(name)).not.toContain("shared/bus/pubsub/pull.ts");
      expect(packagesIn(name)).not.toContain("@google-cloud/pubsub");
    }
  });

  it("only reconcile can check who calls it", () => {
    expect(packagesIn("reconcile")).toContain("google-auth-library");
    expect(ownIn("reconcile")).toContain("functions/caller.ts");
    expect(ownIn("builds")).not.toContain("functions/caller.ts");
  });
});

describe("each bundle", () => {
  it.each(functionNames.map((name) => ({ name })))(
    "$name holds no other function, and nothing local",
    ({ name }) => {
      const others = functionNames.filter((other) => other !== name);
      const foreign = ownIn(name).filter(
        (path) =>
          others.some(
            (other) => path === `functions/${other}.ts` || path === `functions/entries/${other}.ts`,
          ) || /^(?:functions\/(?:local|cli)|test|infra)\//.test(path),
      );
      expect(foreign).toEqual([]);
      expect(packagesIn(name)).not.toContain(framework);
    },
  );

  it.each(functionNames.map((name) => ({ name })))("$name has a source map beside each file", ({ name }) => {
    const files = Object.keys(built.metafiles[name].outputs).map((path) =>
      join(built.folder, name, path.split("/").at(-1) ?? ""),
    );
    const scripts = files.filter((file) => file.endsWith(".js"));
    expect(scripts.length).toBeGreaterThan(1);
    expect(scripts.filter((file) => !existsSync(`${file}.map`))).toEqual([]);
  });

  it("is built alike twice, so that only a change is deployed", async () => {
    const again = await buildAll();
    const read = (folder: string, file: string) => readFile(join(folder, file), "utf8");
    for (const name of functionNames) {
      for (const file of ["index.js", "index.js.map", "package.json", "package-lock.json"]) {
        expect(await read(again.folder, `${name}/${file}`)).toBe(await read(built.folder, `${name}/${file}`));
      }
    }
    await again.remove();
  });
});

describe("the lock file of a function", () => {
  it("holds the framework and what it needs in the versions that are tested here, with their checksums", async () => {
    const { packages } = await readLockFile(built.folder, "webhook");
    const own: Awaited<ReturnType<typeof readLockFile>> = JSON.parse(
      await readFile(join(import.meta.dirname, "../../package-lock.json"), "utf8"),
    );
    const places = Object.keys(packages).filter((place) => place !== "");
    expect(places).toEqual(expect.arrayContaining([`node_modules/${framework}`, "node_modules/express"]));
    expect(places.length).toBeGreaterThan(50);
    for (const place of places) {
      expect(packages[place]?.version).toBe(own.packages[place]?.version);
      expect(packages[place]?.integrity).toMatch(/^sha512-/);
      expect(packages[place]?.dev).toBeUndefined();
    }
  });

  it("holds no Node: it would take the place of the platform's own", async () => {
    const { packages } = await readLockFile(built.folder, "webhook");
    expect(Object.keys(packages).filter((place) => /^node_modules\/node(?:-|$)/.test(place))).toEqual([]);
  });

  it("is the same for each function, but for the name", async () => {
    const rest = async (name: FunctionName) => ({
      ...(await readLockFile(built.folder, name)).packages,
      "": {},
    });
    expect(await rest("builds")).toEqual(await rest("webhook"));
    expect(await rest("reconcile")).toEqual(await rest("webhook"));
  });
});
