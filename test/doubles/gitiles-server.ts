import type { Answer } from "../../functions/local/sandbox/registry/faults.ts";
import type { CommitGraph, LoggedCommit } from "./commit-graph.ts";
import { type GitHostServer, gitHostServer, type HostCall } from "./git-host-server.ts";

export interface GitilesServerOptions {
  /** What is in front of all of it, e.g. `/plugins/gitiles`; default nothing. */
  readonly basePath?: string;
  /** The whole header that is asked for below `/a/`; without it nothing but `/a/` is public. */
  readonly authorization?: string;
}

export interface GitilesServer extends GitHostServer {
  /** What it is reached at without credentials. */
  readonly base: string;
  /** @param name e.g. `skia` */
  add(name: string, graph: CommitGraph): void;
}

const person = { name: "Ada", email: "ada@acme.io", time: "Mon Jan 05 12:00:00 2026 +0000" };

/** Gitiles, as far as logs and refs go. Commits that no branch holds are not shown. */
export async function gitilesServer(options: GitilesServerOptions = {}): Promise<GitilesServer> {
  const { basePath = "", authorization } = options;
  const repositories = new Map<string, CommitGraph>();

  const answer = async (call: HostCall): Promise<Answer> => {
    let { pathname } = call.url;
    if (authorization !== undefined) {
      if (!pathname.startsWith("/a/")) {
        return {
          status: 302,
          headers: { location: "https://accounts.acme.io/login" },
          body: Buffer.alloc(0),
        };
      }
      if (call.header("authorization") !== authorization) return page(401, "Unauthorized");
      pathname = pathname.slice(2);
    }
    if (!pathname.startsWith(`${basePath}/`)) return notFound();
    const [, name = "", command, path = ""] =
      /^\/(.+?)(?:\.git)?\/\+([a-z]+)(?:\/(.*))?$/.exec(pathname.slice(basePath.length)) ?? [];
    const graph = repositories.get(name);
    // A repository that is not there and a revision that is not there are the same to it.
    if (graph === undefined) return notFound();
    if (call.url.searchParams.get("format") !== "JSON") return page(200, "the page that people see");
    if (command === "refs") return references(graph, path);
    return command === "log" ? log(graph, path, call.url.searchParams) : notFound();
  };

  const references = async (graph: CommitGraph, path: string): Promise<Answer> => {
    const branch = decodeURIComponent(path.replace(/^heads\//, ""));
    const tip = path.startsWith("heads/") ? await graph.tip(branch) : undefined;
    return guardedJson(tip === undefined ? {} : { [`refs/heads/${branch}`]: { value: tip } });
  };

  const resolve = async (graph: CommitGraph, name: string): Promise<string | undefined> => {
    const [, branch] = /^refs\/heads\/(.+)$/.exec(name) ?? [];
    if (branch !== undefined) return graph.tip(branch);
    return (await graph.has(name)) && (await graph.isReachable(name)) ? name : undefined;
  };

  const log = async (graph: CommitGraph, path: string, query: URLSearchParams): Promise<Answer> => {
    const names = decodeURIComponent(path).split("..");
    const ids = await Promise.all(names.map((name) => resolve(graph, name)));
    const to = ids.at(-1);
    if (to === undefined || (ids.length === 2 && ids[0] === undefined)) return notFound();
    const commits = await graph.log(ids.length === 2 ? ids[0] : undefined, to);
    const start = query.get("s");
    const from = start === null ? 0 : commits.findIndex(({ id }) => id === start);
    const size = Math.min(Number(query.get("n") ?? "100"), 10_000);
    const next = commits[from + size]?.id;
    return guardedJson({
      log: commits.slice(from, from + size).map(logged),
      ...(next === undefined ? {} : { next }),
    });
  };

  const server = await gitHostServer(answer);
  return Object.assign(server, {
    base: `${server.origin}${basePath}`,
    add: (name: string, graph: CommitGraph) => void repositories.set(name, graph),
  });
}

function logged({ id, tree, parents, message }: LoggedCommit) {
  return { commit: id, tree, parents, author: person, committer: person, message };
}

function guardedJson(value: unknown): Answer {
  return {
    status: 200,
    headers: { "content-type": "application/json; charset=utf-8" },
    body: Buffer.from(`)]}'\n${JSON.stringify(value, undefined, 2)}\n`),
  };
}

function notFound(): Answer {
  const { body, headers } = page(404, "Not Found");
  return { status: 404, headers: { ...headers, "x-gitiles-error": "CANNOT_PARSE_GITILES_VIEW" }, body };
}

function page(status: number, title: string): Answer {
  return {
    status,
    headers: { "content-type": "text/html; charset=utf-8" },
    body: Buffer.from(`<!DOCTYPE html><title>${title}</title>`),
  };
}
