import { join } from "node:path";
import { build, type Metafile } from "esbuild";

/** The functions that are deployed, by the names that Terraform and the Functions Framework know them by. */
export const functionNames = ["webhook", "builds", "reconcile"] as const;
export type FunctionName = (typeof functionNames)[number];

/** The one package that is installed beside a bundle: bundled, its registry of functions would be a second one. */
export const framework = "@google-cloud/functions-framework";

const root = join(import.meta.dirname, "../..");

/** The same code as its CommonJS form, which Node takes; of modules only what is used gets into a bundle. */
const yamlModules = join(root, "node_modules/yaml/browser/index.js");

/** What CommonJS packages expect to find and an ES module does not have. */
const commonJs = [
  'import { createRequire as landfallCreateRequire } from "node:module";',
  "const require = landfallCreateRequire(import.meta.url);",
  "const __filename = import.meta.filename;",
  "const __dirname = import.meta.dirname;",
].join("\n");

/**
 * Writes `index.js`, what that loads later as chunks beside it, and source maps. Equal sources give equal files.
 * @param entry path of the module to start with, from the top of the tree
 * @param folder is written to, not emptied
 * @returns what each written file was made of; paths from the top of the tree
 */
export async function bundle(entry: string, folder: string): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: { index: entry },
    outdir: folder,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node24",
    external: [framework],
    alias: { yaml: yamlModules },
    banner: { js: commonJs },
    sourcemap: "linked",
    sourcesContent: false,
    metafile: true,
    logLevel: "warning",
  });
  return metafile;
}
