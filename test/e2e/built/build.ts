import type { TestProject } from "vitest/node";
import { buildAll, install } from "../../bundles/built.ts";

/** Before the tests of what is deployed: builds and installs it once, for all of them. */
export default async function buildFolders({ provide }: TestProject): Promise<() => Promise<void>> {
  const built = await buildAll();
  await install(built);
  provide("folders", built.folder);
  return built.remove;
}
