import type { CommitGraph, LoggedCommit } from "../../doubles/commit-graph.ts";
import type { GraphRepository } from "./repository.ts";

/** A repository on disk, asked by the git command line. */
export function gitGraph(repository: GraphRepository): CommitGraph {
  const git = async (...args: readonly string[]): Promise<string | undefined> => {
    try {
      return (await repository.git(...args)).trim();
    } catch (error) {
      // 1 and 128 are git's ways to say no; anything else is no answer.
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === 1 || code === 128) return undefined;
      throw error;
    }
  };

  return {
    tip: (branch) => git("rev-parse", "--verify", "--quiet", `refs/heads/${branch}`),
    has: async (id) => (await git("cat-file", "-e", `${id}^{commit}`)) !== undefined,
    async isReachable(id) {
      const refs = await git("for-each-ref", "--count=1", `--contains=${id}`, "refs/heads", "refs/tags");
      return refs !== undefined && refs !== "";
    },
    mergeBase: (one, other) => git("merge-base", one, other),
    async log(from, to) {
      const range = from === undefined ? to : `${from}..${to}`;
      const text = await git("log", "--format=%H%x01%T%x01%P%x01%ct%x01%s", range, "--");
      if (text === undefined) throw new Error(`git has no log of ${range}`);
      return text
        .split("\n")
        .filter((line) => line !== "")
        .map(loggedCommit);
    },
  };
}

function loggedCommit(line: string): LoggedCommit {
  const [id = "", tree = "", parents = "", at = "", message = ""] = line.split("\u0001");
  return {
    id,
    tree,
    parents: parents.split(" ").filter((parent) => parent !== ""),
    atS: Number(at),
    message,
  };
}
