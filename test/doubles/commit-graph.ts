import { createHash } from "node:crypto";
import type { Commit } from "../../shared/domain/commit.ts";
import { type Graph, historyOf } from "../contracts/history-graphs.ts";

export interface LoggedCommit {
  readonly id: string;
  readonly tree: string;
  readonly parents: readonly string[];
  /** Seconds since the epoch. */
  readonly atS: number;
  readonly message: string;
}

/** A repository, as the double of a git host asks it. */
export interface CommitGraph {
  tip(branch: string): Promise<string | undefined>;
  has(id: string): Promise<boolean>;
  /** Whether a branch holds it. */
  isReachable(id: string): Promise<boolean>;
  mergeBase(one: string, other: string): Promise<string | undefined>;
  /** What `to` has and `from` has not, as `git log from..to` lists it; all that `to` has where there is no `from`. */
  log(from: string | undefined, to: string): Promise<readonly LoggedCommit[]>;
}

export interface MemoryGraph extends CommitGraph {
  id(name: string): Commit;
  move(branch: string, to: string): void;
}

/**
 * A graph without git. Its log trusts dates as a server does that sends what it finds at once: where dates are out of
 * order, it lists what it should have left out.
 */
export function memoryGraph(graph: Graph): MemoryGraph {
  const idOf = (name: string) => createHash("sha1").update(`${graph.name}/${name}`).digest("hex") as Commit;
  const gone = new Set(graph.collected ?? []);
  const commits = new Map(
    graph.commits
      .filter(({ name }) => !gone.has(name))
      .map(({ name, parents, atS }): [string, LoggedCommit & { readonly name: string }] => {
        const id = idOf(name);
        return [
          id,
          { id, name, tree: idOf(`tree of ${name}`), parents: parents.map(idOf), atS, message: name },
        ];
      }),
  );
  const branches = new Map(Object.entries(graph.branches));
  const known = (id: string) => {
    const commit = commits.get(id);
    if (commit === undefined) throw new Error(`no commit ${id}`);
    return commit;
  };
  const historyFrom = (id: string) => new Set([...historyOf(graph, known(id).name)].map(idOf) as string[]);

  return {
    id: idOf,
    move: (branch, to) => void branches.set(branch, to),
    async tip(branch) {
      const name = branches.get(branch);
      return name === undefined ? undefined : idOf(name);
    },
    has: async (id) => commits.has(id),
    isReachable: async (id) => [...branches.values()].some((tip) => historyFrom(idOf(tip)).has(id)),
    async mergeBase(one, other) {
      const ours = historyFrom(one);
      const common = [...historyFrom(other)].filter((id) => ours.has(id));
      const beneath = new Set(common.flatMap((id) => known(id).parents));
      return common.find((id) => !beneath.has(id));
    },
    async log(from, to) {
      const left = new Set<string>();
      const leaveOut = (start: string) => {
        const open = [start];
        for (let at = open.pop(); at !== undefined; at = open.pop()) {
          if (left.has(at)) continue;
          left.add(at);
          if (seen.has(at)) open.push(...known(at).parents);
        }
      };
      const seen = new Set<string>();
      const open = new NewestFirst();
      const meet = (id: string) => {
        if (seen.has(id)) return;
        seen.add(id);
        open.add(known(id));
      };
      if (from !== undefined) {
        left.add(from);
        meet(from);
      }
      meet(to);
      const listed: LoggedCommit[] = [];
      for (let at = open.take(); at !== undefined; at = open.take()) {
        if (left.has(at.id)) for (const parent of at.parents) leaveOut(parent);
        else listed.push(at);
        for (const parent of at.parents) meet(parent);
        if (open.all((id) => left.has(id))) break;
      }
      return listed;
    },
  };
}

/** Few at a time: as many as there are lines of history beside each other. */
class NewestFirst {
  #open: LoggedCommit[] = [];

  add(commit: LoggedCommit): void {
    const at = this.#open.findIndex(({ atS }) => atS > commit.atS);
    this.#open.splice(at === -1 ? this.#open.length : at, 0, commit);
  }

  take(): LoggedCommit | undefined {
    return this.#open.pop();
  }

  all(is: (id: string) => boolean): boolean {
    return this.#open.every(({ id }) => is(id));
  }
}
