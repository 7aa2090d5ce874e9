import type { Metafile } from "esbuild";

/** Bytes of JavaScript, source maps not counted. */
export interface Sizes {
  /** `index.js` and what it imports before it can run. */
  readonly startBytes: number;
  readonly allBytes: number;
}

/** The sources that are in a bundle, by bytes; paths from the top of the tree, packages as `node_modules/NAME/…`. */
export function sourcesIn({ outputs }: Metafile): ReadonlyMap<string, number> {
  const sources = new Map<string, number>();
  for (const { inputs } of Object.values(outputs)) {
    for (const [source, { bytesInOutput }] of Object.entries(inputs)) {
      sources.set(source, (sources.get(source) ?? 0) + bytesInOutput);
    }
  }
  return sources;
}

/** The sources that are read before the function is registered. */
export function sourcesAtStart({ outputs }: Metafile): readonly string[] {
  return [...startOf({ outputs })].flatMap((path) => Object.keys(outputs[path]?.inputs ?? {}));
}

export function sizesOf({ outputs }: Metafile): Sizes {
  const scripts = Object.entries(outputs).filter(([path]) => path.endsWith(".js"));
  const total = (paths: ReadonlySet<string>) =>
    scripts.reduce((sum, [path, { bytes }]) => sum + (paths.has(path) ? bytes : 0), 0);
  return { startBytes: total(startOf({ outputs })), allBytes: total(new Set(scripts.map(([path]) => path))) };
}

/** The files that are read before the function is registered. */
function startOf({ outputs }: Pick<Metafile, "outputs">): ReadonlySet<string> {
  const start = new Set<string>();
  const open = Object.keys(outputs).filter((path) => path.endsWith("/index.js"));
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (start.has(path)) continue;
    start.add(path);
    open.push(
      ...(outputs[path]?.imports ?? [])
        .filter(({ kind, external }) => kind === "import-statement" && external !== true)
        .map((each) => each.path),
    );
  }
  return start;
}
