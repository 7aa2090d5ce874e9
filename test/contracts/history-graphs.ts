import type { Relation } from "../../shared/history/commit-history.ts";

interface GraphCommit {
  readonly name: string;
  readonly parents: readonly string[];
  /** Committer's clock, seconds since the epoch. */
  readonly atS: number;
}

/** A repository to be made somewhere: in memory, or by git. */
export interface Graph {
  /** The repository's name, e.g. `log-linear`. */
  readonly name: string;
  /** Parents before children. */
  readonly commits: readonly GraphCommit[];
  /** Branches and their tips. What none of them reaches was force-pushed away. */
  readonly branches: Readonly<Record<string, string>>;
  /** Commits that once were, and that the server has thrown away. No branch reaches them. */
  readonly collected?: readonly string[];
  /** Where the server's own copy is cut: it does not know the parents of these. */
  readonly shallow?: readonly string[];
  readonly objectFormat?: "sha256";
}

const startS = 1_600_000_000;

/** Commits from lines such as `c7 c5 c6`: a name, then its parents; each is a minute later than the one before. */
function commitsOf(...lines: readonly string[]): readonly GraphCommit[] {
  return lines.map((line, index) => {
    const [name = "", ...parents] = line.split(" ");
    return { name, parents, atS: startS + 60 * index };
  });
}

/** A side branch that leaves at c1 and is merged as the second parent of c7. */
export const logLinear: Graph = {
  name: "log-linear",
  commits: commitsOf("c0", "c1 c0", "c2 c1", "c3 c2", "c4 c1", "c5 c4", "c6 c3", "c7 c5 c6", "c8 c7"),
  branches: { main: "c8" },
};

/** Two open side branches, one of them with a merge of main, and names that begin alike. */
export const sideBranches: Graph = {
  name: "side-branches",
  commits: commitsOf("m0", "m1 m0", "s1 m1", "m2 m1", "s2 s1 m2", "m3 m2", "t1 m3"),
  branches: { main: "m3", "main-2": "t1", "feature/side": "s2", "release/1.0": "m1" },
};

/** Two roots, as when another repository was pushed into this one. */
export const unrelated: Graph = {
  name: "unrelated",
  commits: commitsOf("a0", "a1 a0", "b0", "b1 b0"),
  branches: { main: "a1", other: "b1" },
};

/** Two roots that were merged: an older one of them is in main all the same. */
export const joined: Graph = {
  name: "joined",
  commits: commitsOf("a0", "b0", "b1 b0", "j a0 b1", "k j"),
  branches: { main: "k" },
};

/** x1 and x2 were on main until it was forced to m2; the server still has them. */
export const forcePushed: Graph = {
  name: "force-pushed",
  commits: commitsOf("m0", "m1 m0", "x1 m1", "x2 x1", "m2 m1"),
  branches: { main: "m2" },
};

/** The same, and the server has thrown them away. */
export const pruned: Graph = { ...forcePushed, name: "pruned", collected: ["x1", "x2"] };

/**
 * Clocks that lie, which shortens the walks of servers that trust dates: the first commits are from the future and
 * have many after them, b7 is from 1970, s1 from the future.
 */
export const skewed: Graph = {
  name: "skewed",
  commits: [
    { name: "f0", parents: [], atS: startS + 300_000_000 },
    { name: "f1", parents: ["f0"], atS: startS + 300_000_060 },
    ...Array.from({ length: 20 }, (_, index) => ({
      name: `b${index}`,
      parents: [index === 0 ? "f1" : `b${index - 1}`],
      atS: index === 7 ? 1 : startS + 60 * index,
    })),
    { name: "s1", parents: ["b3"], atS: startS + 200_000_000 },
    { name: "s2", parents: ["s1"], atS: startS + 10 },
  ],
  branches: { main: "b19", side: "s2" },
};

/** All commits in one second, as a script makes them. */
export const sameSecond: Graph = {
  name: "same-second",
  commits: commitsOf("e0", "e1 e0", "e2 e1", "e3 e2", "d2 e1", "d3 d2").map((each) => ({
    ...each,
    atS: startS,
  })),
  branches: { main: "e3", side: "d3" },
};

/** The server's copy begins at c3, though it has c0 to c2 for another reason. */
export const shallow: Graph = {
  name: "shallow",
  commits: commitsOf("c0", "c1 c0", "c2 c1", "c3 c2", "c4 c3", "d4 c3", "c5 c4"),
  branches: { main: "c5", side: "d4", old: "c2" },
  shallow: ["c3"],
};

export const sha256: Graph = { ...logLinear, name: "sha256", objectFormat: "sha256" };

/** n0 to n19999 in a line, and s0 to s2, which leave it at n500. */
export const large: Graph = {
  name: "large",
  commits: [
    ...Array.from({ length: 20_000 }, (_, index) => ({
      name: `n${index}`,
      parents: index === 0 ? [] : [`n${index - 1}`],
      atS: startS + 60 * index,
    })),
    ...["n500", "s0", "s1"].map((parent, index) => ({
      name: `s${index}`,
      parents: [parent],
      atS: startS + 60 * (20_000 + index),
    })),
  ],
  branches: { main: "n19999", side: "s2" },
};

/** The commit and all that it descends from, by walking. */
export function historyOf(graph: Graph, name: string): ReadonlySet<string> {
  const parents = new Map(graph.commits.map((each) => [each.name, each.parents]));
  const seen = new Set<string>();
  const open = [name];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (seen.has(at)) continue;
    seen.add(at);
    open.push(...(parents.get(at) ?? []));
  }
  return seen;
}

/** How two commits that the server has stand to each other. */
export function relationIn(graph: Graph, from: string, to: string): Relation {
  if (from === to) return "same";
  if (historyOf(graph, to).has(from)) return "ancestor";
  return historyOf(graph, from).has(to) ? "descendant" : "diverged";
}
