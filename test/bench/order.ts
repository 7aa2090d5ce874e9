import { join } from "node:path";
import { systemClock } from "../../shared/clock.ts";
import type { Commit } from "../../shared/domain/commit.ts";
import type { Order } from "../../shared/history/commit-history.ts";
import type { GitHostEntry } from "../../shared/history/host.ts";
import { createHistory } from "../../shared/history/index.ts";
import { githubServer } from "../doubles/github-server.ts";
import { gitilesServer } from "../doubles/gitiles-server.ts";
import { hostGit } from "../e2e/git/commits.ts";
import { gitGraph } from "../e2e/git/graph.ts";
import type { GraphRepository } from "../e2e/git/repository.ts";
import { bytesOf, type CountedCall, counting } from "./counted.ts";
import { behind, beside, distances, hasGit, longLine, tip } from "./long-line.ts";
import type { Report, Row } from "./report.ts";
import { medianOf, spreadOf } from "./spread.ts";

const rounds = 5;
const verdicts = ["newer", "older", "diverged", "off-branch"] as const satisfies readonly Order[];
type Verdict = (typeof verdicts)[number];

/** Where commits are asked about. */
interface Host {
  readonly entry: GitHostEntry;
  readonly url: string;
}

/** One decision, by a process that knows nothing yet. */
interface Decision {
  readonly ms: number;
  readonly trips: number;
  readonly bytes: number;
}

/** The order of two commits by `git http-backend`, beside a clone of all commits and a question to that. */
export async function measureOrder(folder: string): Promise<Report> {
  if (!(await hasGit())) {
    return { rows: [], notes: ["skipped: order of commits; it is measured where git is installed"] };
  }
  const hosting = await hostGit();
  try {
    const repository = await hosting.make(longLine);
    const url = await hosting.url(repository);
    // An entry is what the configuration says; this one comes from whoever serves the repository.
    const host = { entry: hosting.entry as GitHostEntry, url };
    const cases = distances.flatMap((distance) =>
      verdicts.map((verdict) => ({ distance, verdict, decisions: [] as Decision[] })),
    );
    const clones: number[] = [];
    // The first round loads code and warms the disk's cache: it does not count.
    for (let round = 0; round <= rounds; round++) {
      const clonedMs = await clone(repository, join(folder, `clone-${round}`), host);
      if (round > 0) clones.push(clonedMs);
      for (const { distance, verdict, decisions } of cases) {
        const decision = await decide(host, repository, verdict, distance);
        if (round > 0) decisions.push(decision);
      }
    }
    const rows = cases.map(({ distance, verdict, decisions }): Row => {
      const own = decisions.map(({ ms }) => ms);
      const ratios = own.map((ms, round) => ms / (clones[round] ?? Number.NaN));
      return {
        what: `order decision by git, p50: ${verdict}, ${apart(distance)}`,
        ours: medianOf(own),
        unit: "ms",
        beside: { name: "clone without trees + merge-base", value: medianOf(clones) },
        compared: { as: "ratio", value: medianOf(ratios), spread: spreadOf(ratios) },
      };
    });
    const costs = distances.map((distance) => {
      const each = cases
        .filter((one) => one.distance === distance)
        .map(({ verdict, decisions }) => `${verdict} ${costOf(decisions)}`);
      return `order decision by git, ${apart(distance)}, round trips (KiB): ${each.join(" · ")}`;
    });
    return { rows, notes: [...costs, ...(await hosted(repository))] };
  } finally {
    await hosting.close();
  }
}

async function decide(
  { entry, url }: Host,
  repository: GraphRepository,
  verdict: Verdict,
  distance: number,
): Promise<Decision> {
  const calls: CountedCall[] = [];
  const secret = (template: string) => () => template;
  const connect = counting(calls);
  const history = createHistory([entry], { secret, clock: systemClock, random: Math.random, connect });
  const [from, to] = commitsFor(verdict, distance).map(repository.id) as [Commit, Commit];
  const startedMs = performance.now();
  const order = await history.order({ url, branch: "main" }, from, to);
  const ms = performance.now() - startedMs;
  await history.close();
  if (order !== verdict) throw new Error(`${entry.kind} says ${order} instead of ${verdict}`);
  return { ms, trips: calls.length, bytes: bytesOf(calls) };
}

/** The newest commit that is known, and the one that comes. */
function commitsFor(verdict: Verdict, distance: number): readonly [from: string, to: string] {
  switch (verdict) {
    case "newer":
      return [behind(distance), tip];
    case "older":
      return [tip, behind(distance)];
    case "diverged":
      return [beside(distance), tip];
    case "off-branch":
      return [tip, beside(distance)];
    default:
      return verdict satisfies never;
  }
}

/** What one would do without us, with no tree and no file. @returns ms */
async function clone(repository: GraphRepository, into: string, { entry, url }: Host): Promise<number> {
  const startedMs = performance.now();
  const from = `${entry.url}${new URL(url).pathname}`;
  await repository.git("clone", "--quiet", "--bare", "--filter=tree:0", from, into);
  const [older, newer] = [behind(1), tip].map(repository.id) as [Commit, Commit];
  await repository.git("--git-dir", into, "merge-base", "--is-ancestor", older, newer);
  return performance.now() - startedMs;
}

/** The same repository at hosts with an API, whose answers git gives; what they cost there, in lines. */
async function hosted(repository: GraphRepository): Promise<readonly string[]> {
  const [github, gitiles] = await Promise.all([githubServer(), gitilesServer()]);
  try {
    for (const server of [github, gitiles]) server.add("acme/long", gitGraph(repository));
    const hosts: readonly Host[] = [
      {
        entry: { kind: "github", host: "github.example", url: github.base, plainHttp: true },
        url: "https://github.example/acme/long",
      },
      {
        entry: { kind: "gitiles", host: "gitiles.example", url: gitiles.base, plainHttp: true },
        url: "https://gitiles.example/acme/long",
      },
    ];
    const lines: string[] = [];
    for (const host of hosts) {
      const each: string[] = [];
      for (const distance of distances) {
        const costs: string[] = [];
        for (const verdict of verdicts) {
          costs.push(`${verdict} ${costOf([await decide(host, repository, verdict, distance)])}`);
        }
        each.push(`${apart(distance)}: ${costs.join(", ")}`);
      }
      lines.push(`order decision by ${host.entry.kind}, a double, round trips (KiB): ${each.join(" · ")}`);
    }
    return lines;
  } finally {
    await Promise.all([github.close(), gitiles.close()]);
  }
}

function costOf(decisions: readonly Decision[]): string {
  const trips = Math.max(...decisions.map((decision) => decision.trips));
  const kib = Math.max(...decisions.map(({ bytes }) => bytes)) / 1024;
  return `${trips} (${kib.toFixed(kib < 10 ? 1 : 0)})`;
}

function apart(distance: number): string {
  return distance === 1 ? "adjacent" : `${distance.toLocaleString("en")} commits apart`;
}
