import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Commit, isCommit } from "../../shared/domain/commit.ts";
import type { CommitHistory } from "../../shared/history/commit-history.ts";
import { gitilesHost } from "../../shared/history/gitiles.ts";
import { commitHistory } from "../../shared/history/ordering.ts";
import { httpClient } from "../../shared/http.ts";
import { logLinear } from "../contracts/history-graphs.ts";
import { type MemoryGraph, memoryGraph } from "../doubles/commit-graph.ts";
import { type GitilesServer, gitilesServer } from "../doubles/gitiles-server.ts";
import { manualClock } from "../doubles/manual-clock.ts";

/*
 * What Skia's watcher took for newer, by walking first parents (LogLinear), and what it did with the messages of its
 * own tests; here asked of a Gitiles, through all that stands between a host and a decision.
 */
const at = { url: "https://skia.googlesource.com/skia.git", branch: "main" };
const nowhere = "1".repeat(40) as Commit;

let server: GitilesServer;
let graph: MemoryGraph;
let history: CommitHistory;

beforeEach(async () => {
  server = await gitilesServer();
  // The side branch stays where it was merged from.
  graph = memoryGraph({ ...logLinear, branches: { main: "c8", side: "c6" } });
  server.add("skia", graph);
  const clock = manualClock();
  const host = gitilesHost({ base: server.base, client: httpClient(), clock });
  const named = { name: "skia.googlesource.com", open: async () => host };
  history = commitHistory({ of: () => named, close: () => host.close() }, { clock, random: () => 0.5 });
});
afterEach(async () => {
  await history.close();
  await server.close();
});

const c = (name: string) => graph.id(name);
const order = (from: string, to: string) => history.order(at, c(from), c(to));

describe("a pair of commits that LogLinear judges", () => {
  it.each([
    ["c0", "c1"],
    ["c0", "c8"],
    ["c1", "c2"],
    ["c5", "c7"],
    ["c6", "c7"],
  ])("%s, then %s: newer, for both", async (from, to) => {
    expect(await order(from, to)).toBe("newer");
  });

  it("c8, then c4: older, for both", async () => {
    expect(await order("c8", "c4")).toBe("older");
  });

  it("c2, then c4: on two lines of history, for both; the watcher ignores it, a person hears of it here", async () => {
    expect(await order("c2", "c4")).toBe("diverged");
  });

  it("c2, then c7: on purpose another answer, as c7 holds c2 by its second parent: newer, where the watcher ignores it", async () => {
    expect(await order("c2", "c7")).toBe("newer");
    expect(await order("c3", "c8")).toBe("newer");
  });

  it("c1, then c2, before c2 is merged: on purpose another answer: off the branch, where the watcher deploys it", async () => {
    graph.move("main", "c5");
    expect(await order("c1", "c2")).toBe("off-branch");
  });
});

describe("a message after which the watcher", () => {
  it("tags and deploys: the first of its image, and a child of the last one", async () => {
    expect(await history.order(at, undefined, c("c4"))).toBe("newer");
    expect(await order("c4", "c5")).toBe("newer");
  });

  it("does nothing: the last one's commit again, and an older one", async () => {
    expect(await order("c4", "c4")).toBe("same");
    expect(await order("c5", "c4")).toBe("older");
  });

  it("does nothing: a try-job's, whose tag is no commit", () => {
    expect(isCommit("482077_3")).toBe(false);
  });

  it("counts a failure: a commit that is not in the repository; here that is an answer, and passes", async () => {
    expect(await history.order(at, c("c4"), nowhere)).toBe("unknown-to");
    expect(await history.order(at, undefined, nowhere)).toBe("unknown-to");
  });

  it("fails for ever: what it has deployed was forced off the branch; here a person is told so", async () => {
    expect(await history.order(at, nowhere, c("c8"))).toBe("unknown-from");
  });
});
