import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Commit } from "../../shared/domain/commit.ts";
import type { GitHost } from "../../shared/history/commit-history.ts";
import * as graphs from "./history-graphs.ts";

/** A host with the repositories that it was given. */
export interface HistoryUnderTest {
  readonly host: GitHost;
  /** Makes the graph's repository there; called once a graph. */
  serve(graph: graphs.Graph): Promise<ServedGraph>;
  /** Of a repository that is not there. */
  readonly missingUrl: string;
  close(): Promise<void>;
}

export interface ServedGraph {
  readonly url: string;
  /** The id of a commit of the graph, of one that was thrown away too. */
  id(name: string): Commit;
}

export interface HistoryContractOptions {
  /** Whether a commit that no branch reaches, but that is still there, is answered for; else it is unknown. Default true. */
  readonly knowsUnreachable?: boolean;
  /** Repositories that only a git server has: shallow ones, and those of SHA-256. Default false. */
  readonly plainGit?: boolean;
  /** The largest repository; default is the one of 20,000 commits. */
  readonly large?: boolean;
}

const nowhere = "1234567890".repeat(4) as Commit;
const nowhereElse = "abcdef0123".repeat(4) as Commit;

/** What every kind of git host answers, over the same graphs. */
export function historyContract(
  name: string,
  make: () => Promise<HistoryUnderTest>,
  options: HistoryContractOptions = {},
): void {
  const { knowsUnreachable = true, plainGit = false, large = true } = options;

  describe(`${name} keeps the contract of a git host`, () => {
    let under: HistoryUnderTest;
    const served = new Map<string, Promise<ServedGraph>>();
    const serve = (graph: graphs.Graph) => {
      const known = served.get(graph.name) ?? under.serve(graph);
      served.set(graph.name, known);
      return known;
    };
    const relation = async (graph: graphs.Graph, from: string, to: string) => {
      const { url, id } = await serve(graph);
      return under.host.relation(url, id(from), id(to));
    };
    const onBranch = async (graph: graphs.Graph, branch: string, commit: string) => {
      const { url, id } = await serve(graph);
      return under.host.onBranch({ url, branch }, id(commit));
    };

    beforeAll(async () => {
      under = await make();
    }, 60_000);
    afterAll(async () => {
      await under.host.close();
      await under.close();
    });

    it.each([
      graphs.logLinear,
      graphs.sideBranches,
      graphs.unrelated,
      graphs.joined,
      graphs.skewed,
      graphs.sameSecond,
    ])(
      "tells for each two commits of $name what walking the graph tells",
      async (graph) => {
        const { url, id } = await serve(graph);
        const names = graph.commits.map((commit) => commit.name);
        for (const from of names) {
          const told = await Promise.all(names.map((to) => under.host.relation(url, id(from), id(to))));
          expect({ from, told }).toEqual({
            from,
            told: names.map((to) => graphs.relationIn(graph, from, to)),
          });
        }
      },
      120_000,
    );

    it.each([
      graphs.logLinear,
      graphs.sideBranches,
      graphs.unrelated,
      graphs.joined,
      graphs.skewed,
      graphs.sameSecond,
    ])(
      "tells for each commit and branch of $name whether the branch holds it",
      async (graph) => {
        const { url, id } = await serve(graph);
        const names = graph.commits.map((commit) => commit.name);
        for (const [branch, tip] of Object.entries(graph.branches)) {
          const held = graphs.historyOf(graph, tip);
          const told = await Promise.all(names.map((at) => under.host.onBranch({ url, branch }, id(at))));
          expect({ branch, told }).toEqual({
            branch,
            told: names.map((at) => (held.has(at) ? "on" : "off")),
          });
        }
      },
      120_000,
    );

    it("takes a commit that came by the merge's second parent for an ancestor", async () => {
      await expect(relation(graphs.logLinear, "c2", "c7")).resolves.toBe("ancestor");
      await expect(relation(graphs.logLinear, "c7", "c2")).resolves.toBe("descendant");
    });

    it("takes two children of one commit, and a commit and its only parent, for what they are", async () => {
      await expect(relation(graphs.logLinear, "c2", "c4")).resolves.toBe("diverged");
      await expect(relation(graphs.logLinear, "c8", "c7")).resolves.toBe("descendant");
      await expect(relation(graphs.logLinear, "c7", "c8")).resolves.toBe("ancestor");
    });

    it("takes two histories without a common commit for diverged, both ways", async () => {
      await expect(relation(graphs.unrelated, "a1", "b1")).resolves.toBe("diverged");
      await expect(relation(graphs.unrelated, "b0", "a1")).resolves.toBe("diverged");
    });

    it("follows parents, whatever the clocks of the committers said", async () => {
      await expect(relation(graphs.skewed, "f0", "b19")).resolves.toBe("ancestor");
      await expect(relation(graphs.skewed, "b19", "f1")).resolves.toBe("descendant");
      await expect(relation(graphs.skewed, "s1", "b19")).resolves.toBe("diverged");
      await expect(onBranch(graphs.skewed, "main", "f0")).resolves.toBe("on");
    });

    it("tells what was forced off the branch, while the server has it, from what is on it", async () => {
      const answer = knowsUnreachable ? "diverged" : "unknown-from";
      await expect(relation(graphs.forcePushed, "x2", "m2")).resolves.toBe(answer);
      await expect(onBranch(graphs.forcePushed, "main", "x2")).resolves.toBe(
        knowsUnreachable ? "off" : "unknown",
      );
      await expect(onBranch(graphs.forcePushed, "main", "m2")).resolves.toBe("on");
    });

    it("does not know a commit that was thrown away", async () => {
      await expect(relation(graphs.pruned, "x2", "m2")).resolves.toBe("unknown-from");
      await expect(relation(graphs.pruned, "m2", "x2")).resolves.toBe("unknown-to");
      await expect(onBranch(graphs.pruned, "main", "x1")).resolves.toBe("unknown");
    });

    it("does not know a commit that never was, and names `to` when it knows neither", async () => {
      const { url, id } = await serve(graphs.logLinear);
      const { host } = under;
      await expect(host.relation(url, nowhere, id("c8"))).resolves.toBe("unknown-from");
      await expect(host.relation(url, id("c0"), nowhere)).resolves.toBe("unknown-to");
      await expect(host.relation(url, nowhere, nowhereElse)).resolves.toBe("unknown-to");
      await expect(host.onBranch({ url, branch: "main" }, nowhere)).resolves.toBe("unknown");
    });

    it("does not know the ids of another object format", async () => {
      const { url, id } = await serve(graphs.logLinear);
      const long = `${nowhere}${"0".repeat(24)}` as Commit;
      await expect(under.host.relation(url, long, id("c8"))).resolves.toBe("unknown-from");
      await expect(under.host.onBranch({ url, branch: "main" }, long)).resolves.toBe("unknown");
    });

    it("takes a branch by its whole name", async () => {
      await expect(onBranch(graphs.sideBranches, "main", "t1")).resolves.toBe("off");
      await expect(onBranch(graphs.sideBranches, "main-2", "t1")).resolves.toBe("on");
      await expect(onBranch(graphs.sideBranches, "feature/side", "s1")).resolves.toBe("on");
      await expect(onBranch(graphs.sideBranches, "release/1.0", "m2")).resolves.toBe("off");
    });

    it.each(["side", "mai", "1.0", "refs/heads/main"])(
      "refuses a branch that is not there: %s",
      async (branch) => {
        await expect(onBranch(graphs.sideBranches, branch, "m1")).rejects.toMatchObject({
          code: "HISTORY_DENIED",
        });
      },
    );

    it("refuses a repository that is not there", async () => {
      const { missingUrl, host } = under;
      await expect(host.relation(missingUrl, nowhere, nowhereElse)).rejects.toMatchObject({
        code: "HISTORY_DENIED",
      });
      await expect(host.onBranch({ url: missingUrl, branch: "main" }, nowhere)).rejects.toMatchObject({
        code: "HISTORY_DENIED",
      });
    });

    it("answers the same for a URL with and without .git and a slash at the end", async () => {
      const { url, id } = await serve(graphs.logLinear);
      const bare = url.replace(/\/?$/, "").replace(/\.git$/, "");
      for (const written of [bare, `${bare}.git`, `${bare}/`, `${bare}.git/`]) {
        await expect(under.host.relation(written, id("c5"), id("c7"))).resolves.toBe("ancestor");
      }
    });

    if (large) {
      it("tells the order over 20,000 commits", async () => {
        await serve(graphs.large);
        await expect(relation(graphs.large, "n0", "n19999")).resolves.toBe("ancestor");
        await expect(relation(graphs.large, "n19999", "n0")).resolves.toBe("descendant");
        await expect(relation(graphs.large, "n19999", "s2")).resolves.toBe("diverged");
        await expect(relation(graphs.large, "s2", "n19999")).resolves.toBe("diverged");
        await expect(onBranch(graphs.large, "main", "n0")).resolves.toBe("on");
        await expect(onBranch(graphs.large, "main", "s0")).resolves.toBe("off");
      }, 120_000);
    }

    if (plainGit) {
      it("tells the order in a repository of SHA-256, and knows no SHA-1 there", async () => {
        const { url, id } = await serve(graphs.sha256);
        await expect(relation(graphs.sha256, "c2", "c7")).resolves.toBe("ancestor");
        await expect(relation(graphs.sha256, "c8", "c4")).resolves.toBe("descendant");
        await expect(relation(graphs.sha256, "c2", "c4")).resolves.toBe("diverged");
        await expect(onBranch(graphs.sha256, "main", "c3")).resolves.toBe("on");
        await expect(under.host.relation(url, nowhere, id("c8"))).resolves.toBe("unknown-from");
      });

      it("tells what a shallow copy shows, and never takes for diverged what may meet beyond where it is cut", async () => {
        const { url, id } = await serve(graphs.shallow);
        const told: string[] = [];
        for (const { name: from } of graphs.shallow.commits) {
          for (const { name: to } of graphs.shallow.commits) {
            told.push(
              await under.host.relation(url, id(from), id(to)).catch((error: { code: string }) => error.code),
            );
            const truth = graphs.relationIn(graphs.shallow, from, to);
            expect([from, to, truth === "diverged" ? "none" : truth, "HISTORY_UNAVAILABLE"]).toContain(
              told.at(-1),
            );
          }
        }
        expect(told).toContain("HISTORY_UNAVAILABLE");
        await expect(relation(graphs.shallow, "c3", "c5")).resolves.toBe("ancestor");
        await expect(relation(graphs.shallow, "d4", "c5")).rejects.toThrow("shallow");
        await expect(onBranch(graphs.shallow, "main", "c3")).resolves.toBe("on");
        await expect(onBranch(graphs.shallow, "main", "c1")).rejects.toMatchObject({
          code: "HISTORY_UNAVAILABLE",
        });
      });
    }
  });
}
