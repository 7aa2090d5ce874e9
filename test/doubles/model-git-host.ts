import { createHash } from "node:crypto";
import type { Commit } from "../../shared/domain/commit.ts";
import { HistoryDeniedError } from "../../shared/errors.ts";
import type { GitHost } from "../../shared/history/commit-history.ts";
import { type Graph, historyOf, relationIn } from "../contracts/history-graphs.ts";

export interface ModelGitHost extends GitHost {
  id(name: string): Commit;
  /** What was asked, oldest first. */
  readonly asked: { readonly kind: "relation" | "on-branch"; readonly from?: Commit }[];
  /** The next calls throw these, one each. */
  readonly failures: Error[];
  /** Commits that the host has not heard of yet. */
  readonly hidden: Set<Commit>;
  /** Branches and their tips, to be moved. */
  readonly branches: Record<string, string>;
}

/** A host with one graph, which it walks. */
export function modelGitHost(graph: Graph): ModelGitHost {
  const idOf = (name: string) => createHash("sha1").update(`${graph.name} ${name}`).digest("hex") as Commit;
  const gone = new Set(graph.collected ?? []);
  const names = new Map(
    graph.commits.filter(({ name }) => !gone.has(name)).map(({ name }) => [idOf(name), name]),
  );
  const asked: ModelGitHost["asked"] = [];
  const failures: Error[] = [];
  const hidden = new Set<Commit>();
  const branches = { ...graph.branches };
  const nameOf = (id: Commit) => (hidden.has(id) ? undefined : names.get(id));
  const failNow = () => {
    const failure = failures.shift();
    if (failure !== undefined) throw failure;
  };

  return {
    id: idOf,
    asked,
    failures,
    hidden,
    branches,
    async relation(_url, from, to) {
      asked.push({ kind: "relation", from });
      failNow();
      const newer = nameOf(to);
      const older = nameOf(from);
      if (newer === undefined) return "unknown-to";
      return older === undefined ? "unknown-from" : relationIn(graph, older, newer);
    },
    async onBranch({ branch }, commit) {
      asked.push({ kind: "on-branch" });
      failNow();
      const tip = Object.hasOwn(branches, branch) ? branches[branch] : undefined;
      if (tip === undefined) throw new HistoryDeniedError(`no branch ${branch}`);
      const name = nameOf(commit);
      if (name === undefined) return "unknown";
      return historyOf(graph, tip).has(name) ? "on" : "off";
    },
    close: async () => {},
  };
}
