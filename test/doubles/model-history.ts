import { createHash } from "node:crypto";
import type { Commit } from "../../shared/domain/commit.ts";
import { HistoryUnavailableError } from "../../shared/errors.ts";
import type { CommitHistory, Order } from "../../shared/history/commit-history.ts";
import { type Graph, historyOf } from "../contracts/history-graphs.ts";

export interface ModelHistory extends CommitHistory {
  id(name: string): Commit;
  /** As if the host were gone, until it is told otherwise. */
  down: boolean;
  readonly asked: number;
}

/** The order of a graph's commits on its branch `main`, by walking it: what every other implementation has to say too. */
export function modelHistory(graph: Graph): ModelHistory {
  const id = (name: string) => createHash("sha1").update(name).digest("hex") as Commit;
  const names = new Map(graph.commits.map(({ name }) => [id(name), name]));
  let asked = 0;
  const model: ModelHistory = {
    id,
    down: false,
    get asked() {
      return asked;
    },
    async order({ branch }, from, to): Promise<Order> {
      asked++;
      if (model.down) throw new HistoryUnavailableError("the git host is down");
      const newer = names.get(to);
      const older = from === undefined ? undefined : names.get(from);
      if (newer === undefined) return "unknown-to";
      if (from === to) return "same";
      if (from !== undefined && older === undefined) return "unknown-from";
      if (older !== undefined && historyOf(graph, older).has(newer)) return "older";
      const tip = graph.branches[branch];
      if (tip === undefined || !historyOf(graph, tip).has(newer)) return "off-branch";
      return older === undefined || historyOf(graph, newer).has(older) ? "newer" : "diverged";
    },
    close: async () => {},
  };
  return model;
}
