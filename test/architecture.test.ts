import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";

/** One import, type-only ones included: paths from the top of the tree; `to` is a package's name where it is none of ours. */
interface Import {
  readonly from: string;
  readonly to: string;
}

interface Rule {
  readonly name: string;
  readonly about: (from: string) => boolean;
  readonly allows: (to: string, from: string) => boolean;
  /** An import that the rule must refuse. */
  readonly refused: readonly [from: string, to: string];
}

const root = join(import.meta.dirname, "..");

/** The folders of `shared/` that have several implementations of one port, with the files that are the port. */
const capabilities: Readonly<Record<string, readonly string[]>> = {
  bus: ["bus.ts", "subscriber.ts"],
  history: ["commit-history.ts", "host.ts"],
  ledger: [
    "ledger.ts",
    "image-document.ts",
    "notice-document.ts",
    "report-document.ts",
    "workload-document.ts",
  ],
  notify: ["notifier.ts"],
  registry: ["registry.ts"],
  sources: ["source.ts", "hook-secret.ts"],
  targets: ["target.ts"],
};
const ports = Object.entries(capabilities).flatMap(([folder, files]) =>
  files.map((file) => `shared/${folder}/${file}`),
);
const layers = ["config", "decide", "domain", "flows"];

const product = filesBelow("functions", "shared").filter((file) => /\.(?:ts|js)$/.test(file));
const tests = filesBelow("test").filter((file) => file.endsWith(".ts"));
const imports = [...product, ...tests].flatMap(importsOf);

const within = (folder: string) => (file: string) => file.startsWith(`${folder}/`);
const isOurs = (file: string) => /^(?:functions|shared|test)\//.test(file);
const isDomain = within("shared/domain");
const isDecide = within("shared/decide");
const isFlow = within("shared/flows");
const isLeaf = (file: string) => /^shared\/[^/]+$/.test(file);
const isPort = (file: string) => ports.includes(file);
const isWiring = (file: string) => file === "functions/wiring.ts" || within("functions/wiring")(file);
const isSandbox = within("functions/local/sandbox");
const isList = (file: string) => /^shared\/[^/]+\/index\.ts$/.test(file);
const isCapability = (file: string) => capabilityOf(file) !== undefined;
/** The schema of a capability's part of the configuration, where it has one beside the list. */
const isConfigPart = (file: string) => isCapability(file) && /^shared\/[^/]+\/config\.ts$/.test(file);
const isImplementation = (file: string) =>
  isCapability(file) && !isPort(file) && !isList(file) && !isConfigPart(file);

const rules: readonly Rule[] = [
  {
    name: "domain imports nothing of ours, nothing of Node and no package but zod",
    about: isDomain,
    allows: (to) => isDomain(to) || to === "zod/mini",
    refused: ["shared/domain/push.ts", "shared/errors.ts"],
  },
  {
    name: "decide imports domain and ports, nothing of Node and no package but zod, and semver for the policy of that name",
    about: isDecide,
    allows: (to, from) =>
      isDecide(to) ||
      isDomain(to) ||
      isPort(to) ||
      to === "zod/mini" ||
      (from === "shared/decide/policies/semver.ts" && to.startsWith("semver/classes/")),
    refused: ["shared/decide/push.ts", "semver/classes/range.js"],
  },
  {
    name: "flows import decide, domain, ports and leaves: no implementation, no list, no function",
    about: isFlow,
    allows: (to) => !isOurs(to) || isFlow(to) || isDecide(to) || isDomain(to) || isPort(to) || isLeaf(to),
    refused: ["shared/flows/push.ts", "shared/ledger/embedded.ts"],
  },
  {
    name: "a leaf imports leaves only",
    about: isLeaf,
    allows: (to) => !isOurs(to) || isLeaf(to),
    refused: ["shared/http.ts", "shared/domain/reference.ts"],
  },
  {
    name: "a port imports domain, leaves and its own folder's other port files",
    about: isPort,
    allows: (to, from) =>
      !isOurs(to) || isDomain(to) || isLeaf(to) || (isPort(to) && capabilityOf(to) === capabilityOf(from)),
    refused: ["shared/targets/target.ts", "shared/ledger/ledger.ts"],
  },
  {
    name: "an implementation imports its own port, domain and leaves, and no other implementation",
    about: isImplementation,
    allows: (to, from) => !isOurs(to) || isDomain(to) || isLeaf(to) || isOwnPart(to, from),
    refused: ["shared/targets/swarmpit/map.ts", "shared/targets/swarm/map.ts"],
  },
  {
    name: "a list imports what it lists, and its port",
    about: isList,
    allows: (to, from) => !isOurs(to) || capabilityOf(to) === capabilityOf(from),
    refused: ["shared/sources/index.ts", "shared/targets/index.ts"],
  },
  {
    name: "config imports domain, leaves, and of a capability its list or the schema of its configuration",
    about: within("shared/config"),
    allows: (to) =>
      !isOurs(to) ||
      within("shared/config")(to) ||
      isDomain(to) ||
      isLeaf(to) ||
      isList(to) ||
      isConfigPart(to),
    refused: ["shared/config/load.ts", "shared/flows/deps.ts"],
  },
  {
    name: "only the wiring and the configuration's schema import a list",
    about: (from) =>
      isProduct(from) && !isWiring(from) && from !== "shared/config/schema.ts" && !isConfigPart(from),
    allows: (to) => !isList(to),
    refused: ["functions/builds.ts", "shared/targets/index.ts"],
  },
  {
    name: "a function reaches implementations through the wiring; the command line, which only reads, a ledger's",
    about: (from) => within("functions")(from) && !isWiring(from),
    allows: (to, from) =>
      !isImplementation(to) || (from === "functions/cli/main.ts" && within("shared/ledger")(to)),
    refused: ["functions/webhook.ts", "shared/bus/inline.ts"],
  },
  {
    name: "nothing in shared imports a function",
    about: within("shared"),
    allows: (to) => !within("functions")(to),
    refused: ["shared/flows/sweep.ts", "functions/boundary.ts"],
  },
  {
    name: "the sandbox is imported by `npm start` and by tests only",
    about: (from) => isProduct(from) && !within("functions/local")(from),
    allows: (to) => !within("functions/local")(to),
    refused: ["functions/wiring.ts", "functions/local/sandbox/sandbox.ts"],
  },
  {
    name: "the sandbox shares no code with what it stands in for",
    about: isSandbox,
    allows: (to) => !isCapability(to) && !isFlow(to) && !isDecide(to),
    refused: ["functions/local/sandbox/swarmpit/swarmpit.ts", "shared/targets/swarmpit/map.ts"],
  },
  {
    name: "nothing that ships imports a test",
    about: (from) => isProduct(from),
    allows: (to) => !within("test")(to),
    refused: ["functions/local/main.ts", "test/doubles/manual-clock.ts"],
  },
];

describe("the direction of imports", () => {
  it("is read from the tree: known imports of every form are seen, and every one of ours names a file", () => {
    const known: readonly Import[] = [
      { from: "functions/index.ts", to: "functions/register.ts" },
      { from: "functions/builds.ts", to: "functions/wiring/flows.ts" },
      { from: "functions/wiring/flows.ts", to: "shared/targets/index.ts" },
      { from: "functions/cli/landfall.js", to: "functions/require-node-24.js" },
      { from: "shared/targets/index.ts", to: "shared/targets/swarm/swarm.ts" },
      { from: "shared/domain/push.ts", to: "zod/mini" },
    ];
    expect(imports).toEqual(expect.arrayContaining([...known]));
    expect(imports.filter(({ from }) => isProduct(from)).length).toBeGreaterThan(300);
    expect(imports.filter(({ to }) => isOurs(to) && !exists(to))).toEqual([]);
  });

  it("has a place for every folder of shared", () => {
    const folders = readdirSync(join(root, "shared"), { withFileTypes: true }).filter((each) =>
      each.isDirectory(),
    );
    const known = [...layers, ...Object.keys(capabilities)];
    expect(folders.map(({ name }) => name).filter((name) => !known.includes(name))).toEqual([]);
    expect(ports.filter((port) => !exists(port))).toEqual([]);
  });

  it.each(rules)("$name", ({ about, allows, refused: [from, to] }) => {
    expect(about(from) && !allows(to, from)).toBe(true);
    const judged = imports.filter((each) => about(each.from));
    expect(judged.length).toBeGreaterThan(0);
    expect(judged.filter((each) => !allows(each.to, each.from))).toEqual([]);
  });
});

describe("a file that ships", () => {
  it("has at most 300 lines", () => {
    const long = product.map((file) => [file, read(file).split("\n").length - 1] as const);
    expect(long.filter(([, lines]) => lines > 200).length).toBeGreaterThan(0);
    expect(long.filter(([, lines]) => lines > 300)).toEqual([]);
  });

  it("loads a package late by a file of its own: in a bundle, import() of CommonJS gives a default and no names", () => {
    const late = /\bimport\(\s*"(?!\.)/;
    expect(late.test('await import("undici")')).toBe(true);
    expect(product.filter((file) => late.test(read(file)))).toEqual([]);
  });

  it("reads the environment in config/load.ts only", () => {
    const readers = product.filter((file) => /\bprocess\.env\b/.test(read(file)));
    expect(readers).toEqual(["shared/config/load.ts"]);
  });
});

describe("the text of the project", () => {
  const files = [
    ...filesBelow("functions", "shared", "test", "docs", "infra", ".github"),
    ...readdirSync(root).filter(
      (name) => /\.(?:md|json|ts)$/.test(name) && statSync(join(root, name)).isFile(),
    ),
  ];
  // In pieces, or this file would be found too.
  const foreign: readonly (readonly [string, RegExp])[] = [
    ["an absolute path of somebody's machine", new RegExp(`(?<![\\w.])/(?:${"wo"}rk|${"ro"}ot|home/\\w+)/`)],
    [
      "a folder outside of the project",
      new RegExp(`\\.\\./shared/(?:${["contr", "testb", "desi", "hoo"].join("|")})`),
    ],
  ];

  it.each(foreign)("never names %s", (_, pattern) => {
    expect(files.length).toBeGreaterThan(200);
    expect(files.filter((file) => pattern.test(read(file)))).toEqual([]);
  });
});

function isProduct(file: string): boolean {
  return within("functions")(file) || within("shared")(file);
}

function capabilityOf(file: string): string | undefined {
  const folder = /^shared\/([^/]+)\//.exec(file)?.[1];
  return folder !== undefined && Object.hasOwn(capabilities, folder) ? folder : undefined;
}

/** A file of the same capability that belongs to no other implementation: `swarm.ts` and `swarm/` are one. */
function isOwnPart(to: string, from: string): boolean {
  if (capabilityOf(to) !== capabilityOf(from) || isList(to)) return false;
  const own = implementationOf(from);
  const other = implementationOf(to);
  return other === own || isPort(to) || !isEntry(to);
}

/** `shared/targets/swarm/map.ts` → `shared/targets/swarm`. */
function implementationOf(file: string): string {
  return file.split("/").slice(0, 3).join("/").replace(/\.ts$/, "");
}

/** What belongs to one implementation: a folder's file, or a file that the capability's list names. */
function isEntry(file: string): boolean {
  return (
    file.split("/").length > 3 ||
    imports.some((each) => each.to === file && isList(each.from) && !isPort(file))
  );
}

function importsOf(from: string): readonly Import[] {
  const text = read(from);
  const forms = [/^(?:import|export)\s(?:[^;"]*?\sfrom\s)?"([^"]+)"/gm, /\bimport\(\s*"([^"]+)"\s*\)/g];
  return forms.flatMap((form) =>
    [...text.matchAll(form)].map(([, name = ""]) => ({
      from,
      to: name.startsWith(".") ? join(dirname(from), name) : name,
    })),
  );
}

function filesBelow(...folders: readonly string[]): readonly string[] {
  return folders.filter(exists).flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((each) => each.isFile())
      .map((each) => join(each.parentPath, each.name).slice(root.length + 1)),
  );
}

function exists(file: string): boolean {
  return statSync(join(root, file), { throwIfNoEntry: false }) !== undefined;
}

function read(file: string): string {
  return readFileSync(join(root, file), "utf8");
}
