import { type FunctionName, framework } from "./bundle.ts";

/** A package in a lock file of version 3: https://docs.npmjs.com/cli/v11/configuring-npm/package-lock-json#packages. */
export interface LockedPackage {
  readonly version?: string;
  readonly integrity?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly devOptional?: boolean;
  readonly peer?: boolean;
  readonly [key: string]: unknown;
}

/** By path from the top: `node_modules/express`, `node_modules/a/node_modules/b`; the top itself is `""`. */
export type LockedPackages = Readonly<Record<string, LockedPackage>>;

/** What stands in the project's own package.json and lock file. */
export interface Project {
  readonly version: string;
  readonly license: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly locked: LockedPackages;
}

/**
 * The `package.json` of one function. No build script: Google would run it. `start` is for plain Cloud Run and for any
 * other machine; Cloud Functions starts the framework itself.
 */
export function manifestOf(name: FunctionName, project: Project) {
  const version = project.dependencies[framework];
  if (version === undefined) throw new Error(`package.json does not name ${framework}`);
  return {
    name: `landfall-${name}`,
    version: project.version,
    license: project.license,
    private: true,
    type: "module",
    main: "index.js",
    engines: { node: "24" },
    scripts: { start: `functions-framework --target=${name}` },
    dependencies: { [framework]: version },
  };
}

/** The lock file that belongs to a manifest: the same versions as the project's own, so that what was tested is deployed. */
export function lockFileOf(manifest: ReturnType<typeof manifestOf>, project: Project) {
  const { name, version, license, engines, dependencies } = manifest;
  return {
    name,
    version,
    lockfileVersion: 3,
    requires: true,
    packages: {
      "": { name, version, license, dependencies, engines },
      ...closure(Object.keys(dependencies), project.locked),
    },
  };
}

/** Some packages with everything that they need, at the places that the lock file gives them, in its order. */
export function closure(names: readonly string[], locked: LockedPackages): LockedPackages {
  const needed = new Set<string>();
  const open = names.map((name) => placeOf(name, "", locked) ?? missing(name, ""));
  for (let place = open.pop(); place !== undefined; place = open.pop()) {
    if (needed.has(place)) continue;
    needed.add(place);
    open.push(...needsOf(place, locked));
  }
  return Object.fromEntries(
    Object.entries(locked)
      .filter(([place]) => needed.has(place))
      // What the project needs for its tests only, a function may need always.
      .map(
        ([place, { dev: _dev, devOptional: _devOptional, optional: _optional, peer: _peer, ...entry }]) => [
          place,
          entry,
        ],
      ),
  );
}

function needsOf(from: string, locked: LockedPackages): readonly string[] {
  const entry = locked[from] ?? {};
  const optionalPeers = entry.peerDependenciesMeta ?? {};
  const needed = [
    ...Object.keys(entry.dependencies ?? {}),
    ...Object.keys(entry.peerDependencies ?? {}).filter((name) => optionalPeers[name]?.optional !== true),
  ];
  return needed.map((name) => placeOf(name, from, locked) ?? missing(name, from));
}

/** Where Node finds a package from another's place: the nearest `node_modules` upwards. */
function placeOf(name: string, from: string, locked: LockedPackages): string | undefined {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf("node_modules/") - 1))) {
    const place = `${folder === "" ? "" : `${folder}/`}node_modules/${name}`;
    if (locked[place] !== undefined) return place;
    if (folder === "") return undefined;
  }
}

function missing(name: string, from: string): never {
  throw new Error(
    `package-lock.json does not hold ${name}, which ${from === "" ? "a function" : from} needs`,
  );
}
