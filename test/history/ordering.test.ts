import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import type { Commit } from "../../shared/domain/commit.ts";
import { HistoryDeniedError, HistoryUnavailableError } from "../../shared/errors.ts";
import type { CommitHistory, GitHost, Order } from "../../shared/history/commit-history.ts";
import type { GitHosts } from "../../shared/history/host.ts";
import { commitHistory } from "../../shared/history/ordering.ts";
import { historyContract } from "../contracts/history.ts";
import { type Graph, logLinear, sideBranches, skewed } from "../contracts/history-graphs.ts";
import { type ManualClock, manualClock } from "../doubles/manual-clock.ts";
import { type ModelGitHost, modelGitHost } from "../doubles/model-git-host.ts";
import { modelHistory } from "../doubles/model-history.ts";
import { anyGraph } from "./any-graph.ts";

historyContract("the model of a git host", async () => {
  const graphs = new Map<string, ModelGitHost>();
  const at = (url: string): GitHost => {
    const name = /([^/]+?)(?:\.git)?\/?$/.exec(url)?.[1] ?? "";
    const host = graphs.get(name);
    if (host === undefined) throw new HistoryDeniedError(`no repository ${name}`);
    return host;
  };
  return {
    host: {
      relation: async (url, from, to) => at(url).relation(url, from, to),
      onBranch: async (branch, commit) => at(branch.url).onBranch(branch, commit),
      close: async () => {},
    },
    serve: async (graph) => {
      const host = modelGitHost(graph);
      graphs.set(graph.name, host);
      return { url: `https://git.example/${graph.name}`, id: host.id };
    },
    missingUrl: "https://git.example/nothing",
    close: async () => {},
  };
});

const url = "https://git.example/web";
const at = { url, branch: "main" };
const nowhere = "9".repeat(40) as Commit;

let clock: ManualClock;
let random: number;
beforeEach(() => {
  clock = manualClock();
  random = 0.5;
});

function orderOver(host: GitHost): CommitHistory {
  return historyOn(() => ({ name: "git.example", open: async () => host }));
}

function historyOn(of: GitHosts["of"]): CommitHistory {
  return commitHistory({ of, close: async () => {} }, { clock, random: () => random });
}

/** Moves the clock until the answer is there; gives how long that took beside it. */
async function waited<Answer>(
  answer: Promise<Answer>,
): Promise<{ answer: PromiseSettledResult<Answer>; ms: number }> {
  const before = clock.monotonic();
  let settled: PromiseSettledResult<Answer> | undefined;
  void Promise.allSettled([answer]).then(([result]) => {
    settled = result;
  });
  for (let turn = 0; settled === undefined && turn < 1_000; turn += 1)
    await clock.advance(clock.nextMs() ?? 0);
  if (settled === undefined) throw new Error("it waits for nothing that a clock tells");
  return { answer: settled, ms: clock.monotonic() - before };
}

describe("the order of two commits", () => {
  const graph = sideBranches;
  const host = modelGitHost(graph);
  const order = (from: string | undefined, to: string, branch = "main") =>
    orderOver(host).order({ url, branch }, from === undefined ? undefined : host.id(from), host.id(to));

  it.each<{ from: string | undefined; to: string; order: Order; why: string }>([
    { from: "m0", to: "m3", order: "newer", why: "an ancestor, on the branch" },
    { from: "m3", to: "m3", order: "same", why: "the same" },
    { from: "m3", to: "m1", order: "older", why: "a descendant" },
    { from: "m0", to: "s1", order: "off-branch", why: "an ancestor, and not on the branch" },
    { from: "m3", to: "s1", order: "off-branch", why: "diverged, and not on the branch" },
    { from: "s1", to: "m3", order: "diverged", why: "diverged, and on the branch" },
    { from: "s2", to: "s1", order: "older", why: "a descendant, though neither is on the branch" },
    { from: undefined, to: "m1", order: "newer", why: "the first, on the branch" },
    { from: undefined, to: "t1", order: "off-branch", why: "the first, and not on the branch" },
  ])("$to after $from is $order: $why", async ({ from, to, order: expected }) => {
    await expect(order(from, to)).resolves.toBe(expected);
  });

  it("is unknown where the server lacks one, and says which", async () => {
    const history = orderOver(host);
    await expect(history.order(at, nowhere, host.id("m3"))).resolves.toBe("unknown-from");
    await expect(history.order(at, host.id("m3"), nowhere)).resolves.toBe("unknown-to");
    await expect(history.order(at, undefined, nowhere)).resolves.toBe("unknown-to");
  });

  it("is what walking the graph tells, for any graph", async () => {
    await fc.assert(
      fc.asyncProperty(anyGraph, async (drawn: Graph) => {
        const drawnHost = modelGitHost(drawn);
        const model = modelHistory(drawn);
        const history = orderOver(drawnHost);
        const names = drawn.commits.map(({ name }) => name);
        for (const from of [undefined, ...names]) {
          for (const to of names) {
            const first = from === undefined ? undefined : model.id(from);
            const ours = from === undefined ? undefined : drawnHost.id(from);
            expect([from, to, await history.order(at, ours, drawnHost.id(to))]).toEqual([
              from,
              to,
              await model.order(at, first, model.id(to)),
            ]);
          }
        }
      }),
    );
  });
});

describe("what is asked for an order", () => {
  let host: ModelGitHost;
  let history: CommitHistory;
  const c = (name: string) => host.id(name);
  beforeEach(() => {
    host = modelGitHost(logLinear);
    history = orderOver(host);
  });

  it("is nothing for a commit and itself", async () => {
    await expect(history.order(at, c("c4"), c("c4"))).resolves.toBe("same");
    expect(host.asked).toEqual([]);
  });

  it("is not the branch, where the commit is older or one is not known", async () => {
    await history.order(at, c("c8"), c("c1"));
    await history.order(at, nowhere, c("c1"));
    await history.order(at, c("c1"), nowhere);
    expect(host.asked.map(({ kind }) => kind)).toEqual(["relation", "relation", "relation"]);
  });

  it("is how they stand only once, the other way round too, and for ever", async () => {
    await history.order(at, c("c2"), c("c7"));
    await history.order(at, c("c4"), c("c2"));
    host.asked.length = 0;
    await clock.advance(365 * 86_400_000);
    await expect(history.order(at, c("c7"), c("c2"))).resolves.toBe("older");
    expect(host.asked).toEqual([]);
    await expect(history.order(at, c("c2"), c("c7"))).resolves.toBe("newer");
    await expect(history.order(at, c("c2"), c("c4"))).resolves.toBe("diverged");
    expect(host.asked.map(({ kind }) => kind)).toEqual(["on-branch", "on-branch"]);
  });

  it("is apart for another repository, and for another branch", async () => {
    await history.order(at, c("c2"), c("c7"));
    host.asked.length = 0;
    await history.order({ ...at, url: `${url}-2` }, c("c2"), c("c7"));
    expect(host.asked.map(({ kind }) => kind)).toEqual(["relation", "on-branch"]);
    await history.order({ ...at, branch: "release" }, c("c2"), c("c7")).catch(() => undefined);
    expect(host.asked.map(({ kind }) => kind)).toEqual(["relation", "on-branch", "on-branch"]);
  });

  it("is the branch again after a minute: a merge can bring a commit in", async () => {
    const open = modelGitHost({ ...sideBranches, branches: { main: "m3" } });
    const other = orderOver(open);
    await expect(other.order(at, undefined, open.id("s1"))).resolves.toBe("off-branch");
    open.branches.main = "s2";
    await clock.advance(59_999);
    await expect(other.order(at, undefined, open.id("s1"))).resolves.toBe("off-branch");
    await clock.advance(1);
    await expect(other.order(at, undefined, open.id("s1"))).resolves.toBe("newer");
  });

  it("is an unknown commit again after half a minute: a copy may be behind a push", async () => {
    host.hidden.add(c("c8"));
    await expect(history.order(at, c("c7"), c("c8"))).resolves.toBe("unknown-to");
    host.hidden.clear();
    await clock.advance(29_999);
    await expect(history.order(at, c("c7"), c("c8"))).resolves.toBe("unknown-to");
    await clock.advance(1);
    await expect(history.order(at, c("c7"), c("c8"))).resolves.toBe("newer");
  });

  it("is unknown where the host knows the commit, and then the branch's server does not", async () => {
    const behind: GitHost = { ...host, onBranch: async () => "unknown" };
    await expect(orderOver(behind).order(at, c("c1"), c("c2"))).resolves.toBe("unknown-to");
  });

  it("is one question for all who ask the same at the same time", async () => {
    const orders = await Promise.all(Array.from({ length: 20 }, () => history.order(at, c("c0"), c("c8"))));
    expect(new Set(orders)).toEqual(new Set(["newer"]));
    expect(host.asked.map(({ kind }) => kind)).toEqual(["relation", "on-branch"]);
  });

  it("is forgotten for what was longest unused, so that memory stays bounded", async () => {
    const ids = Array.from({ length: 10_001 }, (_, index) => index.toString(16).padStart(40, "0") as Commit);
    const forgetful: GitHost = {
      ...host,
      relation: async (_, from) => {
        host.asked.push({ kind: "relation", from });
        return "descendant";
      },
    };
    const other = orderOver(forgetful);
    for (const id of ids) await other.order(at, id, c("c1"));
    host.asked.length = 0;
    await other.order(at, ids.at(-1), c("c1"));
    expect(host.asked).toHaveLength(0);
    await other.order(at, ids[0], c("c1"));
    expect(host.asked).toHaveLength(1);
  });
});

describe("a host in trouble", () => {
  let host: ModelGitHost;
  let history: CommitHistory;
  const ask = () => history.order(at, host.id("c0"), host.id("c8"));
  const down = (retryAfterMs?: number) => new HistoryUnavailableError("down", { retryAfterMs });
  const tries = () => host.asked.length;
  beforeEach(() => {
    host = modelGitHost(logLinear);
    history = orderOver(host);
  });

  it.each([
    { spread: 0, ms: 250 + 500 },
    { spread: 0.999, ms: 749.5 + 1_499 },
  ])("is asked again after pauses that grow and are spread: $ms ms", async ({ spread, ms }) => {
    random = spread;
    host.failures.push(down(), down());
    const { answer, ms: took } = await waited(ask());
    expect([answer, took]).toEqual([{ status: "fulfilled", value: "newer" }, ms]);
  });

  it("is given up after four tries, and asked afresh the next time: failures are not remembered", async () => {
    host.failures.push(...Array.from({ length: 4 }, () => down()));
    const { answer, ms } = await waited(ask());
    expect(answer).toMatchObject({ status: "rejected", reason: { code: "HISTORY_UNAVAILABLE" } });
    expect([tries(), ms]).toEqual([4, 3_500]);
    await expect(ask()).resolves.toBe("newer");
  });

  it("is not asked again when it refuses: a person must mend that", async () => {
    host.failures.push(new HistoryDeniedError("no"));
    await expect(ask()).rejects.toMatchObject({ code: "HISTORY_DENIED" });
    expect(tries()).toBe(1);
    await expect(ask()).resolves.toBe("newer");
  });

  it("is left alone as long as it asks, by everybody, and answers from memory go on", async () => {
    await ask();
    host.asked.length = 0;
    host.failures.push(down(3_600_000));
    const { answer, ms } = await waited(history.order(at, host.id("c1"), host.id("c4")));
    expect(answer).toMatchObject({ reason: { code: "HISTORY_UNAVAILABLE", retryAfterMs: 3_600_000 } });
    expect([tries(), ms]).toEqual([1, 0]);
    await clock.advance(600_000);
    await expect(history.order(at, host.id("c2"), host.id("c3"))).rejects.toMatchObject({
      retryAfterMs: 3_000_000,
      message: expect.stringContaining("git.example"),
    });
    await expect(history.order(at, host.id("c8"), host.id("c0"))).resolves.toBe("older");
    expect(tries()).toBe(1);
    await clock.advance(3_000_000);
    await expect(history.order(at, host.id("c2"), host.id("c3"))).resolves.toBe("newer");
  });

  it("that asks for a short pause gets it, and the same decision goes on", async () => {
    host.failures.push(down(7_000));
    const { answer, ms } = await waited(ask());
    expect([answer, ms]).toEqual([{ status: "fulfilled", value: "newer" }, 7_000]);
  });

  it("does not stop another", async () => {
    const healthy = modelGitHost(logLinear);
    const both = historyOn((asked) => ({
      name: new URL(asked).host,
      open: async () => (asked.includes("other") ? healthy : host),
    }));
    host.failures.push(down(3_600_000));
    const [one, two] = [host.id("c0"), host.id("c1")];
    await expect(both.order(at, one, two)).rejects.toMatchObject({ retryAfterMs: 3_600_000 });
    await expect(both.order({ ...at, url: "https://other.example/web" }, one, two)).resolves.toBe("newer");
  });

  it("that never answers costs half a minute, and what it says later is of use to who asks next", async () => {
    const { promise, resolve } = Promise.withResolvers<"ancestor">();
    const slow = orderOver({ ...host, relation: () => promise });
    const { answer, ms } = await waited(slow.order(at, host.id("c0"), host.id("c8")));
    expect(answer).toMatchObject({ reason: { code: "HISTORY_UNAVAILABLE" } });
    expect(ms).toBe(30_000);
    resolve("ancestor");
    await expect(slow.order(at, host.id("c0"), host.id("c8"))).resolves.toBe("newer");
  });

  it("that takes ten seconds for each failure costs no more than half a minute", async () => {
    const slow = orderOver({
      ...host,
      relation: async () => {
        await clock.sleep(10_000);
        throw down();
      },
    });
    const { answer, ms } = await waited(slow.order(at, host.id("c0"), host.id("c8")));
    expect(answer).toMatchObject({ status: "rejected", reason: { code: "HISTORY_UNAVAILABLE" } });
    expect(ms).toBeLessThanOrEqual(30_000);
  });

  it("that cannot even be loaded fails as it is, at once", async () => {
    const broken = historyOn(() => ({
      name: "x",
      open: () => Promise.reject(new TypeError("no such file")),
    }));
    await expect(broken.order(at, host.id("c0"), host.id("c8"))).rejects.toThrow(TypeError);
  });

  it("fails for all who share the question, and is tried no more often for that", async () => {
    host.failures.push(...Array.from({ length: 4 }, () => down()));
    const { answer } = await waited(Promise.allSettled([ask(), ask(), ask()]));
    expect(answer).toMatchObject({
      value: Array.from({ length: 3 }, () => ({
        status: "rejected",
        reason: { code: "HISTORY_UNAVAILABLE" },
      })),
    });
    expect(tries()).toBe(4);
  });
});

it("clocks that lie change no order", async () => {
  const host = modelGitHost(skewed);
  const history = orderOver(host);
  await expect(history.order(at, host.id("f0"), host.id("b19"))).resolves.toBe("newer");
  await expect(history.order(at, host.id("b7"), host.id("b6"))).resolves.toBe("older");
});
