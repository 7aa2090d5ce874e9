import { describe, expect, it } from "vitest";
import {
  closure,
  type LockedPackages,
  lockFileOf,
  manifestOf,
  type Project,
} from "../../infra/build/package-files.ts";

const locked: LockedPackages = {
  "": { version: "1.0.0" },
  "node_modules/@google-cloud/functions-framework": {
    version: "5.0.5",
    dependencies: { a: "^1.0.0", b: "^2.0.0" },
  },
  "node_modules/a": { version: "1.0.0", dev: true, dependencies: { b: "^1.0.0" } },
  "node_modules/a/node_modules/b": { version: "1.0.0", dependencies: { c: "*", a: "*" } },
  "node_modules/b": { version: "2.0.0", devOptional: true },
  "node_modules/c": {
    version: "3.0.0",
    peerDependencies: { d: "*", e: "*" },
    peerDependenciesMeta: { e: { optional: true } },
  },
  "node_modules/d": { version: "4.0.0", peer: true },
  "node_modules/e": { version: "5.0.0" },
  "node_modules/vitest": { version: "5.1.1", dev: true },
};
const project: Project = {
  version: "1.0.0",
  license: "Apache-2.0",
  dependencies: { "@google-cloud/functions-framework": "5.0.5", zod: "4.6.7" },
  locked,
};

describe("the closure of a package in a lock file", () => {
  it("holds what Node would find from each place: the nearest copy, through cycles, with peers that must be there", () => {
    expect(Object.keys(closure(["@google-cloud/functions-framework"], locked))).toEqual([
      "node_modules/@google-cloud/functions-framework",
      "node_modules/a",
      "node_modules/a/node_modules/b",
      "node_modules/b",
      "node_modules/c",
      "node_modules/d",
    ]);
  });

  it("marks nothing as for development or as optional: here it is needed", () => {
    const marks = Object.values(closure(["@google-cloud/functions-framework"], locked)).flatMap((entry) =>
      Object.keys(entry).filter((key) => ["dev", "optional", "devOptional", "peer"].includes(key)),
    );
    expect(marks).toEqual([]);
  });

  it("is refused when the lock file does not hold a package that another needs", () => {
    const { "node_modules/d": _, ...without } = locked;
    expect(() => closure(["a"], without)).toThrow("does not hold d, which node_modules/c needs");
    expect(() => closure(["f"], locked)).toThrow("does not hold f");
  });
});

describe("the package.json of a function", () => {
  const manifest = manifestOf("builds", project);

  it("names one package, the framework in the project's version, and starts it with the function", () => {
    expect(manifest).toMatchObject({
      type: "module",
      main: "index.js",
      engines: { node: "24" },
      scripts: { start: "functions-framework --target=builds" },
      dependencies: { "@google-cloud/functions-framework": "5.0.5" },
    });
  });

  it("has no build script: Google would install what is for development and run it", () => {
    expect(Object.keys(manifest.scripts)).toEqual(["start"]);
  });

  it("agrees with its lock file", () => {
    const { name, version, license, engines, dependencies } = manifest;
    const lockFile = lockFileOf(manifest, project);
    expect(lockFile.packages[""]).toEqual({ name, version, license, engines, dependencies });
    expect([lockFile.name, lockFile.version, lockFile.lockfileVersion]).toEqual([name, version, 3]);
  });
});
