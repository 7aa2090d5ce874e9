import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Metafile } from "esbuild";
import { bundle, type FunctionName } from "./bundle.ts";
import { lockFileOf, manifestOf, type Project } from "./package-files.ts";

const root = join(import.meta.dirname, "../..");

/**
 * Makes the folder that is deployed as one function: the bundle, and a `package.json` and a lock file of its own.
 * @param folder is emptied first
 * @returns what each file of the bundle was made of
 */
export async function buildFunction(name: FunctionName, folder: string): Promise<Metafile> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const project = await readProject();
  const manifest = manifestOf(name, project);
  await writeJson(join(folder, "package.json"), manifest);
  await writeJson(join(folder, "package-lock.json"), lockFileOf(manifest, project));
  return bundle(`functions/entries/${name}.ts`, folder);
}

async function readProject(): Promise<Project> {
  const { version, license, dependencies } = await readJson("package.json");
  const { packages } = await readJson("package-lock.json");
  return { version, license, dependencies, locked: packages };
}

async function readJson(name: string) {
  return JSON.parse(await readFile(join(root, name), "utf8"));
}

async function writeJson(path: string, value: object): Promise<void> {
  await writeFile(path, `${JSON.stringify(value, undefined, 2)}\n`);
}
