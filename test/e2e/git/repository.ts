import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Commit, isCommit } from "../../../shared/domain/commit.ts";
import type { Graph } from "../../contracts/history-graphs.ts";

const run = promisify(execFile);
/** Where commits stand while they are imported; branches are made after. */
const importRef = "refs/made/all";

/** A bare repository that git itself has made of a graph. */
export interface GraphRepository {
  /** The folder, e.g. `…/log-linear.git`. */
  readonly path: string;
  id(name: string): Commit;
  /** Runs git in it, without anybody's own configuration, and gives its standard output. */
  git(...args: readonly string[]): Promise<string>;
}

/** Runs git without the configuration of this machine or user. */
async function git(args: readonly string[], cwd: string): Promise<string> {
  const { stdout } = await run("git", args, {
    cwd,
    env: gitEnvironment(),
    maxBuffer: 64 * 1024 * 1024,
  }).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") throw new Error(missing);
    throw error;
  });
  return stdout;
}

const missing =
  "git is not installed: these tests make repositories with it and serve them by `git http-backend` (Debian: apt-get install git)";

export function gitEnvironment(): Record<string, string> {
  return {
    PATH: process.env.PATH ?? "/usr/local/bin:/usr/bin:/bin",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_CONFIG_SYSTEM: "/dev/null",
    GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_KEY_0: "safe.directory",
    GIT_CONFIG_VALUE_0: "*",
    LC_ALL: "C",
  };
}

/** Makes `<folder>/<graph's name>.git`. */
export async function makeRepository(graph: Graph, folder: string): Promise<GraphRepository> {
  const path = join(folder, `${graph.name}.git`);
  const format = graph.objectFormat === undefined ? [] : [`--object-format=${graph.objectFormat}`];
  await git(["init", "--quiet", "--bare", "--initial-branch=main", ...format, path], folder);
  const inRepository = (...args: readonly string[]) => git(args, path);
  for (const [key, value] of [
    ["uploadpack.allowFilter", "true"],
    ["gc.auto", "0"],
    ["http.receivepack", "false"],
  ] as const) {
    await inRepository("config", key, value);
  }
  const ids = await importCommits(graph, path);
  const id = (name: string) => {
    const found = ids.get(name);
    if (found === undefined) throw new Error(`${graph.name} has no commit ${name}`);
    return found;
  };
  for (const [branch, tip] of Object.entries(graph.branches)) {
    await inRepository("update-ref", `refs/heads/${branch}`, id(tip));
  }
  await inRepository("update-ref", "-d", importRef);
  if (graph.commits.length > 1_000) await inRepository("repack", "-a", "-d", "-q");
  if (graph.collected !== undefined) await inRepository("prune", "--expire=now");
  if (graph.shallow !== undefined) {
    await writeFile(join(path, "shallow"), graph.shallow.map((name) => `${id(name)}\n`).join(""));
  }
  return { path, id, git: inRepository };
}

/** Has git read all commits at once; gives their ids. */
async function importCommits(graph: Graph, path: string): Promise<ReadonlyMap<string, Commit>> {
  const marks = new Map(graph.commits.map(({ name }, index) => [name, index + 1]));
  const parts = graph.commits.map(({ name, parents, atS }) => {
    const [first, ...others] = parents.map((parent) => `:${marks.get(parent)}`);
    return [
      // without it a root would get the commit before it for a parent
      ...(first === undefined ? [`reset ${importRef}`] : []),
      `commit ${importRef}`,
      `mark :${marks.get(name)}`,
      `author Ada <ada@example.com> ${atS} +0000`,
      `committer Ada <ada@example.com> ${atS} +0000`,
      `data ${name.length}`,
      name,
      ...(first === undefined ? [] : [`from ${first}`]),
      ...others.map((parent) => `merge ${parent}`),
      ...fileOf(name),
      "",
    ].join("\n");
  });
  const marksFile = join(path, "marks");
  await feed(
    ["fast-import", "--quiet", "--force", "--done", `--export-marks=${marksFile}`],
    path,
    `${parts.join("\n")}\ndone\n`,
  );
  const names = graph.commits.map(({ name }) => name);
  const ids = new Map<string, Commit>();
  for (const line of (await readFile(marksFile, "utf8")).split("\n")) {
    const [mark = "", id] = line.split(" ");
    const name = names[Number(mark.slice(1)) - 1];
    if (name !== undefined && isCommit(id)) ids.set(name, id);
  }
  return ids;
}

/** Each commit changes a file, so that trees and blobs are there to be left out. */
function fileOf(name: string): readonly string[] {
  const text = `this is ${name}\n`;
  return ["M 100644 inline src/app.txt", `data ${text.length}`, text];
}

async function feed(args: readonly string[], cwd: string, text: string): Promise<void> {
  const child = spawn("git", args, { cwd, env: gitEnvironment(), stdio: ["pipe", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (piece: Buffer) => {
    said += piece.toString("utf8");
  });
  child.stdin.end(text);
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`git ${args.join(" ")} ended with ${code}: ${said}`);
}
