import { createHash } from "node:crypto";
import type { Answer } from "../../functions/local/sandbox/registry/faults.ts";
import type { CommitGraph } from "./commit-graph.ts";
import { type GitHostServer, gitHostServer, type HostCall, jsonAnswer } from "./git-host-server.ts";

export interface GitHubServerOptions {
  /** `/api/v3` on an Enterprise Server; default none. */
  readonly basePath?: string;
  /** Without it repositories are not there; with another one nothing is. Default: everything is public. */
  readonly token?: string;
}

export interface GitHubServer extends GitHostServer {
  /** What its API is reached at. */
  readonly base: string;
  /** @param name e.g. `acme/app` */
  add(name: string, graph: CommitGraph): void;
  /** Its old name leads to its id from now on. */
  rename(name: string, to: string): void;
  /** So many requests are left until `resetAtS`, seconds since the epoch. */
  limit(remaining: number, resetAtS: number): void;
}

interface Repository {
  readonly id: number;
  name: string;
  readonly graph: CommitGraph;
}

const documentation = "https://docs.github.com/rest";
/** What one changed file's patch may be: comparisons are large where they begin. */
const patch = "+ a line that was added\n".repeat(2_000);

/** The REST API of GitHub, as far as commits and branches go. */
export async function githubServer(options: GitHubServerOptions = {}): Promise<GitHubServer> {
  const { basePath = "", token } = options;
  const repositories: Repository[] = [];
  const renamed = new Map<string, Repository>();
  let limit: { remaining: number; readonly resetAtS: number } | undefined;

  const refusal = (status: number, message: string, headers: Readonly<Record<string, string>> = {}) =>
    jsonAnswer(status, { message, documentation_url: documentation, status: String(status) }, headers);
  const notFound = () => refusal(404, "Not Found");

  const answer = async (call: HostCall): Promise<Answer> => {
    if (call.header("user-agent") === undefined)
      return refusal(403, "Request forbidden by administrative rules.");
    if (limit !== undefined && limit.remaining === 0) {
      return refusal(403, "API rate limit exceeded for user ID 1.", limitHeaders());
    }
    const given = await authorized(call);
    // Being told that nothing changed is free.
    if (limit !== undefined && given.status !== 304) limit.remaining -= 1;
    return { ...given, headers: { ...given.headers, ...limitHeaders() } };
  };

  const limitHeaders = (): Record<string, string> =>
    limit === undefined
      ? {}
      : { "x-ratelimit-remaining": String(limit.remaining), "x-ratelimit-reset": String(limit.resetAtS) };

  const authorized = async (call: HostCall): Promise<Answer> => {
    const sent = call.header("authorization");
    if (sent !== undefined && token !== undefined && sent !== `Bearer ${token}`)
      return refusal(401, "Bad credentials");
    if (!call.url.pathname.startsWith(`${basePath}/`)) return notFound();
    const path = call.url.pathname.slice(basePath.length);
    if (token !== undefined && sent === undefined) return notFound();
    const byId = /^\/repositories\/(\d+)(\/.*)?$/.exec(path);
    const byName = /^\/repos\/([^/]+\/[^/]+)(\/.*)?$/.exec(path);
    const rest = (byId ?? byName)?.[2] ?? "";
    const moved = byName === null ? undefined : renamed.get(byName[1] ?? "");
    if (moved !== undefined) {
      const location = `${server.origin}${basePath}/repositories/${moved.id}${rest}${call.url.search}`;
      return jsonAnswer(301, { message: "Moved Permanently", url: location }, { location });
    }
    const found = repositories.find(({ id, name }) =>
      byId === null ? name === byName?.[1] : String(id) === byId[1],
    );
    return found === undefined ? notFound() : within(found, rest, call);
  };

  const within = async ({ id, name, graph }: Repository, rest: string, call: HostCall): Promise<Answer> => {
    if (rest === "") return jsonAnswer(200, { id, full_name: name, private: token !== undefined });
    const [, tipOf] = /^\/git\/ref\/heads\/(.+)$/.exec(rest) ?? [];
    if (tipOf !== undefined) return reference(graph, decodeURIComponent(tipOf), call);
    const [, commit] = /^\/commits\/([^/]+)$/.exec(rest) ?? [];
    if (commit !== undefined) {
      if (!(await graph.has(commit))) return refusal(422, `No commit found for SHA: ${commit}`);
      return call.header("accept") === "application/vnd.github.sha"
        ? {
            status: 200,
            headers: { "content-type": "application/vnd.github.sha" },
            body: Buffer.from(commit),
          }
        : jsonAnswer(200, { sha: commit, files: [{ filename: "a.txt", patch }] });
    }
    const [, base, head] = /^\/compare\/([^/]+?)\.\.\.([^/]+)$/.exec(rest) ?? [];
    return base === undefined || head === undefined ? notFound() : comparison(graph, base, head, call);
  };

  const reference = async (graph: CommitGraph, branch: string, call: HostCall): Promise<Answer> => {
    const sha = await graph.tip(branch);
    if (sha === undefined) return notFound();
    const etag = `W/"${createHash("sha256").update(`${branch} ${sha}`).digest("hex")}"`;
    if (call.header("if-none-match") === etag)
      return { status: 304, headers: { etag }, body: Buffer.alloc(0) };
    return jsonAnswer(200, { ref: `refs/heads/${branch}`, object: { type: "commit", sha } }, { etag });
  };

  const comparison = async (
    graph: CommitGraph,
    base: string,
    head: string,
    call: HostCall,
  ): Promise<Answer> => {
    if (!(await graph.has(base)) || !(await graph.has(head))) return notFound();
    const merge = await graph.mergeBase(base, head);
    if (merge === undefined) return refusal(404, `No common ancestor between ${base} and ${head}.`);
    const status =
      base === head ? "identical" : merge === base ? "ahead" : merge === head ? "behind" : "diverged";
    const page = Number(call.url.searchParams.get("page") ?? "1");
    const size = Number(call.url.searchParams.get("per_page") ?? "250");
    const ahead = merge === head ? [] : [...(await graph.log(base, head))].toReversed();
    const behind = merge === base ? [] : await graph.log(head, base);
    return jsonAnswer(200, {
      status,
      ahead_by: ahead.length,
      behind_by: behind.length,
      total_commits: ahead.length,
      base_commit: { sha: base },
      merge_base_commit: { sha: merge },
      commits: ahead
        .slice((page - 1) * size, page * size)
        .map(({ id, message }) => ({ sha: id, commit: { message } })),
      ...(page === 1 ? { files: ahead.slice(0, 300).map(({ id }) => ({ filename: id, patch })) } : {}),
    });
  };

  const server = await gitHostServer(answer);
  return Object.assign(server, {
    base: `${server.origin}${basePath}`,
    add: (name: string, graph: CommitGraph) =>
      void repositories.push({ id: 1_000 + repositories.length, name, graph }),
    rename: (name: string, to: string) => {
      const found = repositories.find((each) => each.name === name);
      if (found === undefined) throw new Error(`no repository ${name}`);
      found.name = to;
      renamed.set(name, found);
    },
    limit: (remaining: number, resetAtS: number) => {
      limit = { remaining, resetAtS };
    },
  });
}
