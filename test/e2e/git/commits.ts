import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Graph } from "../../contracts/history-graphs.ts";
import { type GitServer, serveGit } from "./http.ts";
import { type GraphRepository, makeRepository } from "./repository.ts";

/** Repositories made by git, and the server that Landfall asks about their commits. */
export interface GitHosting {
  /** An entry of the configuration's `git`. */
  readonly entry: object;
  readonly seen: GitServer["seen"];
  make(graph: Graph): Promise<GraphRepository>;
  /** What `git.url` of an image says; with another name the same repository under it, of which nobody has asked yet. */
  url(repository: GraphRepository, name?: string): Promise<string>;
  /** Nobody listens any more: connections are refused. */
  goDown(): Promise<void>;
  /** Listens again, where it did before. */
  comeBack(): Promise<void>;
  close(): Promise<void>;
}

/** The host as the configuration names it; where it really is, its `url` says. */
const host = "git.example";

export async function hostGit(): Promise<GitHosting> {
  const folder = await mkdtemp(join(tmpdir(), "landfall-git-"));
  const seen: GitServer["seen"][number][] = [];
  let server = await serveGit(folder, { seen });
  const { origin } = server;
  let isUp = true;
  return {
    entry: { kind: "git", host, url: origin, plainHttp: true },
    seen,
    make: (graph) => makeRepository(graph, folder),
    async url({ path }, name) {
      if (name !== undefined) {
        const link = join(folder, `${name}.git`);
        // A test that is tried again names it again.
        await rm(link, { force: true });
        await symlink(path, link);
      }
      return `https://${host}/${name ?? path.slice(folder.length + 1, -".git".length)}.git`;
    },
    async goDown() {
      isUp = false;
      await server.close();
    },
    async comeBack() {
      server = await serveGit(folder, { seen, port: Number(new URL(origin).port) });
      isUp = true;
    },
    async close() {
      if (isUp) await server.close();
      await rm(folder, { recursive: true });
    },
  };
}
