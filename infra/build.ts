import { join } from "node:path";
import { buildFunction } from "./build/build-function.ts";
import { functionNames } from "./build/bundle.ts";
import { sizesOf } from "./build/contents.ts";

/** `npm run build`: dist/webhook, dist/builds, dist/reconcile, each all that one function needs but the framework. */
for (const name of functionNames) {
  const sizes = sizesOf(await buildFunction(name, join(import.meta.dirname, "../dist", name)));
  const kib = (bytes: number) => `${Math.ceil(bytes / 1024)} KiB`;
  process.stdout.write(
    `dist/${name}: ${kib(sizes.startBytes)} read at the start, ${kib(sizes.allBytes)} with all that is loaded later\n`,
  );
}
