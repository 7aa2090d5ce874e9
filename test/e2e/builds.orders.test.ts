import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Digest } from "../../shared/domain/reference.ts";
import { newBudget } from "../../shared/flows/deps.ts";
import { sweep } from "../../shared/flows/sweep.ts";
import { type Graph, historyOf } from "../contracts/history-graphs.ts";
import { modelHistory } from "../doubles/model-history.ts";
import { type MadeImages, makeImages, pushMade, taggedDigest } from "./built-images.ts";
import { type GitHosting, hostGit } from "./git/commits.ts";
import type { GraphRepository } from "./git/repository.ts";
import { type BuildDelivery, type Instances, startInstances } from "./orders.ts";
import { type LoggedCall, type RegistryLog, registryLog } from "./registry-log.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const run = Date.now().toString(36);
const path = `e2e-orders/${run}`;
/** So many orders run at a time, each lane on a ledger of its own. */
const lanes = 6;
const instancesPerLane = 4;
/** Longer than a write that came late could take. */
const afterChecksMs = 150_000;

const names = ["c0", "c1", "c2", "c3", "c4"];
const newest = "c4";
/** All commits are of one second: nothing but the graph tells their order. */
const commits = (...lines: readonly string[]) =>
  lines.map((line) => {
    const [name = "", ...parents] = line.split(" ");
    return { name, parents, atS: 1_700_000_000 };
  });

interface Table {
  readonly name: string;
  readonly graph: Graph;
}
const tables: readonly Table[] = [
  {
    name: "commits in a line",
    graph: {
      name: "line",
      commits: commits("c0", "c1 c0", "c2 c1", "c3 c2", "c4 c3"),
      branches: { main: "c4" },
    },
  },
  {
    name: "a side branch that was merged",
    graph: {
      name: "merged",
      commits: commits("c0", "c1 c0", "c2 c0", "c3 c2 c1", "c4 c3"),
      branches: { main: "c4" },
    },
  },
];

interface Order {
  readonly index: number;
  readonly heard: readonly string[];
  /** How many messages are handled at once. */
  readonly handlers: number;
  /** Path of its image. */
  readonly image: string;
}

let git: GitHosting;
let images: MadeImages;

beforeAll(async () => {
  git = await hostGit();
  images = await makeImages(`${path}/made`, [...names, "somebody-elses"]);
});
afterAll(() => git.close());

describe("five builds in every order", () => {
  it.each(tables)(
    "of $name end at the newest one",
    async ({ graph }) => {
      const startedMs = Date.now();
      const repository = await git.make(graph);
      const orders = permutations(names).map((heard, index) => ({
        index,
        heard,
        handlers: 1 + (index % instancesPerLane),
        image: `${path}/${graph.name}/${index}`,
      }));
      const asked = git.seen.length;
      const log = await registryLog();
      await Promise.all(
        Array.from({ length: lanes }, (_, lane) =>
          play(
            { graph, repository, log },
            orders.filter(({ index }) => index % lanes === lane),
          ),
        ),
      );
      const puts = ownCalls(await log.calls(), path).filter(({ method }) => method === "PUT");
      process.stdout.write(
        `      ${orders.length} orders in ${Date.now() - startedMs} ms: ${puts.length} promotions, ` +
          `${git.seen.length - asked} requests to git\n`,
      );
    },
    400_000,
  );
});

interface Played {
  readonly graph: Graph;
  readonly repository: GraphRepository;
  readonly log: RegistryLog;
}

/** One order after the other, on one ledger with several instances that all of them share. */
async function play(played: Played, orders: readonly Order[]): Promise<void> {
  const { graph, repository, log } = played;
  const instances = await startInstances(instancesPerLane, await configOf(graph, repository, orders));
  try {
    for (const order of orders) {
      await push(order, repository);
      await deliver(instances, order, repository);
      await expectNewest(instances, order, played);
    }
    const accepted = instances.accepted();
    expect(accepted.length).toBeGreaterThanOrEqual(orders.length);
    for (const { kind, image, to, head } of accepted) {
      expect(
        isAncestor(graph, images.named(to), images.named(head)),
        `${image}: ${kind} ${images.named(to)} under ${images.named(head)}`,
      ).toBe(false);
    }
    // Each tag is looked at once more, and nothing is left to do.
    const { flows, clock } = instances.later(afterChecksMs);
    const { work } = await sweep(await flows(), newBudget(clock));
    expect(work.map(({ outcome }) => outcome)).toEqual(orders.map(() => "carried-on"));
    const calls = await log.calls();
    for (const order of orders) {
      const image = (await instances.ledger.get("images", repositoryOf(order)))?.value;
      expect(image?.dueMs, order.image).toBeUndefined();
      expect(await taggedDigest(order.image, "prod")).toBe(images.digest(newest));
      const puts = promotions(calls, order.image).map(images.named);
      expect(isForward(graph, puts), `${order.image}: ${puts}`).toBe(true);
      if (order.handlers === 1) expect(puts).toEqual(await expectedPuts(graph, order.heard));
    }
  } finally {
    await instances.close();
  }
}

async function configOf(
  graph: Graph,
  repository: GraphRepository,
  orders: readonly Order[],
): Promise<object> {
  const entries = orders.map(async (order) => ({
    image: repositoryOf(order),
    git: { url: await git.url(repository, `${graph.name}-${order.index}`), branch: "main" },
    channels: [{ tag: "prod" }],
  }));
  return {
    follow: [`${bed.registry}/${path}/*`],
    registries: [{ host: bed.registry, plainHttp: true }],
    git: [git.entry],
    images: await Promise.all(entries),
  };
}

/** Half of the orders find a `prod` that somebody made before Landfall came. */
async function push({ image, index }: Order, repository: GraphRepository): Promise<void> {
  for (const name of names) await pushMade(images.of(name), image, repository.id(name));
  if (index % 2 === 0) await pushMade(images.of("somebody-elses"), image, "prod");
}

/** Each build once, one of them delivered a second time, one published a second time. */
async function deliver(instances: Instances, order: Order, repository: GraphRepository): Promise<void> {
  const { heard, image, handlers, index } = order;
  const again = index % heard.length;
  const message = (name: string, messageId: string, attempt = 1): BuildDelivery => ({
    messageId,
    attempt,
    build: { image: repositoryOf(order), tag: repository.id(name), digest: images.digest(name) },
  });
  const deliveries = heard.flatMap((name, at) => {
    const one = message(name, `${image}-${at}`);
    return at === again ? [one, { ...one, attempt: 2 }] : [one];
  });
  const [first = newest] = heard;
  const queue = [...deliveries, message(first, `${image}-republished`)];
  await Promise.all(
    Array.from({ length: handlers }, async (_, handler) => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        await instances.deliver(handler, next);
      }
    }),
  );
}

async function expectNewest(
  { ledger }: Instances,
  order: Order,
  { graph, repository }: Played,
): Promise<void> {
  const image = (await ledger.get("images", repositoryOf(order)))?.value;
  const wanted = { commit: repository.id(newest), digest: images.digest(newest) };
  expect(image?.head, order.image).toMatchObject(wanted);
  expect(image?.channels.prod?.promoted, order.image).toMatchObject(wanted);
  expect(image?.channels.prod?.intent, order.image).toBeUndefined();
  expect(image?.channels.prod?.conflict, order.image).toBeUndefined();
  expect(await taggedDigest(order.image, "prod"), order.image).toBe(images.digest(newest));
  const outcomes = await Promise.all(
    order.heard.map(async (_, at) => {
      const event = (await ledger.get("events", `build-${order.image}-${at}`))?.value;
      expect(event?.state).toBe("done");
      return event?.outcome;
    }),
  );
  if (order.handlers === 1) expect(outcomes).toEqual(await expectedOutcomes(graph, order.heard));
  // The first one is published once more, and may be overtaken by that.
  const again = (await ledger.get("events", `build-${order.image}-republished`))?.value.outcome;
  const isFirst = order.heard[0] === newest;
  const tops = [outcomes[order.heard.indexOf(newest)], ...(isFirst ? [again] : [])];
  expect(tops, order.image).toContain("head");
  const side = graph.name === "merged" ? ["held-back"] : [];
  for (const [at, outcome] of outcomes.entries()) {
    expect(["head", "superseded", ...side, ...(at === 0 ? ["current"] : [])]).toContain(outcome);
  }
}

/** What builds come to that are heard one after the other, by walking the graph. */
async function expectedOutcomes(graph: Graph, heard: readonly string[]): Promise<readonly string[]> {
  const history = modelHistory(graph);
  const outcomes: string[] = [];
  let head: string | undefined;
  for (const name of heard) {
    const order = await history.order(
      { url: "", branch: "main" },
      head === undefined ? undefined : history.id(head),
      history.id(name),
    );
    outcomes.push(order === "newer" ? "head" : order === "older" ? "superseded" : "held-back");
    if (order === "newer") head = name;
  }
  return outcomes;
}

async function expectedPuts(graph: Graph, heard: readonly string[]): Promise<readonly string[]> {
  const outcomes = await expectedOutcomes(graph, heard);
  return heard.filter((_, at) => outcomes[at] === "head");
}

/** Digests that Landfall has put under `prod`: each PUT follows the GET of what it puts there, and nothing is in between. */
function promotions(calls: readonly LoggedCall[], image: string): readonly Digest[] {
  const own = ownCalls(calls, image).filter(
    ({ reference, method }) => method !== "HEAD" && (reference === "prod" || reference.startsWith("sha256:")),
  );
  return own.flatMap((call, at) => {
    if (call.method !== "PUT") return [];
    const before = own[at - 1];
    expect([call.status, before?.method, before?.status], image).toEqual([201, "GET", 200]);
    return [before?.reference as Digest];
  });
}

function ownCalls(calls: readonly LoggedCall[], prefix: string): readonly LoggedCall[] {
  return calls.filter(
    ({ repository, agent }) =>
      (repository === prefix || repository.startsWith(`${prefix}/`)) && agent.startsWith("landfall/"),
  );
}

function isAncestor(graph: Graph, one: string, other: string): boolean {
  return one !== other && historyOf(graph, other).has(one);
}

function isForward(graph: Graph, puts: readonly string[]): boolean {
  return puts.every((name, at) => puts.slice(0, at).every((before) => isAncestor(graph, before, name)));
}

function repositoryOf({ image }: Order): `${string}/${string}` {
  return `${bed.registry}/${image}`;
}

function permutations(items: readonly string[]): readonly (readonly string[])[] {
  if (items.length === 0) return [[]];
  return items.flatMap((first) =>
    permutations(items.filter((each) => each !== first)).map((rest) => [first, ...rest]),
  );
}
