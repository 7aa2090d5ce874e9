import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runCli } from "../../functions/cli/main.ts";
import { inlineBus } from "../../shared/bus/inline.ts";
import { systemClock } from "../../shared/clock.ts";
import type { Commit } from "../../shared/domain/commit.ts";
import type { Repository } from "../../shared/domain/reference.ts";
import { embeddedLedger } from "../../shared/ledger/embedded.ts";
import type { Built, Channel, ImageDocument } from "../../shared/ledger/image-document.ts";
import type { Documents, EventDocument, Ledger } from "../../shared/ledger/ledger.ts";
import { digest, rollout, startMs, workload } from "./record.ts";

const image: Repository = "gcr.io/acme/api";
const commit = "840ee5a432444a504020e1ec3b25e2e3f4763e7b" as Commit;

let folder: string;
let ledgerPath: string;
let env: Record<string, string>;
let ledger: Ledger;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "landfall-waiting-"));
  ledgerPath = join(folder, "ledger.db");
  ledger = embeddedLedger(ledgerPath, systemClock);
  env = { LANDFALL_LEDGER: `file:${ledgerPath}` };
});
afterEach(async () => {
  await ledger.close();
  await rm(folder, { recursive: true });
});

/** Puts a document on record in place of what was there. */
async function put<C extends "events" | "images" | "workloads" | "rollouts">(
  collection: C,
  id: string,
  value: Documents[C],
): Promise<void> {
  const expectRev = (await ledger.get(collection, id))?.rev ?? 0;
  const write = { collection, id, value, expect: expectRev } as Parameters<Ledger["commit"]>[1][number];
  expect(await ledger.commit("test", [write])).toEqual({ kind: "committed" });
}

/** What Landfall does meanwhile, one step at each look of the command. */
type Step = (event: string) => Promise<void>;

/** Runs the command line against a Landfall that goes on by a step whenever the command sleeps. */
async function landfall(line: string, steps: readonly Step[] = []) {
  const said: string[] = [];
  const left = [...steps];
  let elapsedMs = 0;
  let event: string | undefined;
  const printed = await runCli(line.split(" "), {
    env,
    clock: {
      now: () => startMs + elapsedMs,
      monotonic: () => elapsedMs,
      sleep: async (ms) => {
        elapsedMs += ms;
        event ??= await taken();
        await left.shift()?.(event);
      },
    },
    progress: (text) => said.push(text.trim().replace(/^[\d.]+ (?:ms|s|min.*?) {2}/, "")),
    openLedger: async () => embeddedLedger(ledgerPath, systemClock),
  });
  return { ...printed, said, json: () => JSON.parse(printed.out) };
}

/** Takes the one message from the bus; the id of its event. */
async function taken(): Promise<string> {
  const bus = inlineBus({ store: ledgerPath, clock: systemClock });
  const heard: { event: string; by: string }[] = [];
  const delivering = bus.deliver(async ({ message }) => {
    heard.push(JSON.parse(Buffer.from(message.data, "base64").toString("utf8")));
    return "ack";
  });
  await delivering.idle();
  await bus.close();
  expect(heard).toHaveLength(1);
  return heard[0]?.event ?? "";
}

function eventWith(change: Partial<EventDocument>): EventDocument {
  return {
    state: "done",
    heardMs: startMs,
    verdicts: [],
    more: 0,
    looks: 0,
    expireMs: startMs + 90 * 86_400_000,
    promote: { image, channel: "prod", how: "move", by: "ada" },
    ...change,
  };
}

function imageWith(prod: Partial<Channel>, change: Partial<ImageDocument> = {}): ImageDocument {
  const channel = { generation: 1, head: 1, unsettled: [], planned: 1, ...prod };
  return { repository: image, planned: 1, channels: { prod: channel }, builds: [], ...change };
}

function built(event: string): Built {
  return { commit, tag: commit, digest: digest("b"), event };
}

const promote = `promote ${image} prod --wait`;
const planned = (seq: number) => [{ workload: "gke/web/deployment/api", kind: "planned", seq }] as const;

/** Rollout 3 of the workload, open or ended. */
async function rolledOut(state: "verifying" | "succeeded" | "failed", reason?: string): Promise<void> {
  const id = "gke/web/deployment/api";
  const { cause, from, to, times } = rollout(id, 3);
  const isOpen = state === "verifying";
  const open = { seq: 3, cause, from, to, times, attempts: 1, dueMs: startMs, config: "0123456789ab" };
  await put(
    "workloads",
    id,
    workload(id, 3, isOpen ? { open: { ...open, state, note: "1 of 2 pods" } } : {}),
  );
  await put(
    "rollouts",
    id.concat("/3"),
    rollout(id, 3, { state, ...(reason === undefined ? {} : { reason }) }),
  );
}

describe("--wait", () => {
  it("follows the order, the channel and the rollouts to their end, each change told once", async () => {
    const steps: readonly Step[] = [
      async (event) => {
        const asked = { ...built(event), by: "ada" };
        await put("images", image, imageWith({ asked }));
        await put("events", event, eventWith({ outcome: "ordered" }));
      },
      async (event) => {
        const lease = { holder: "h", untilMs: startMs + 60_000 };
        const intent = { from: digest("a"), to: built(event), head: 1, lease };
        await put("images", image, imageWith({ intent }));
      },
      async (event) => put("images", image, imageWith({ promoted: built(event), generation: 2 })),
      async (event) => {
        await rolledOut("verifying");
        await put("events", event, eventWith({ outcome: "ordered", verdicts: planned(3) }));
      },
      async (event) => put("images", image, imageWith({ promoted: built(event), generation: 2, planned: 2 })),
      async () => rolledOut("succeeded"),
    ];
    const { code, said, out } = await landfall(promote, steps);
    expect(code).toBe(0);
    expect(said.map((line) => line.replace(/: .*$/, ""))).toEqual([
      "published; nobody has taken it yet",
      expect.stringMatching(/^done/),
      "prod is to be moved",
      "prod is being moved",
      "prod is moved; workloads are looked at",
      "gke/web/deployment/api",
      "gke/web/deployment/api",
    ]);
    expect(said.slice(-2)).toEqual([
      "gke/web/deployment/api: rollout 3 verifying, 1 of 2 pods",
      expect.stringContaining("rollout 3 succeeded"),
    ]);
    expect(out).toMatch(/All is over after 6\.0 s\.\n$/);
  });

  it("ends with 1 when a rollout failed, with its reason", async () => {
    const { code, err } = await landfall(promote, [
      async (event) => {
        await rolledOut("failed", "CrashLoopBackOff: exited with 1");
        await put("events", event, eventWith({ outcome: "ordered", verdicts: planned(3) }));
      },
    ]);
    expect([code, err]).toEqual([
      1,
      expect.stringContaining("rollout 3 failed, CrashLoopBackOff: exited with 1"),
    ]);
  });

  it("ends with 1 when a channel turns out to have been moved by somebody else", async () => {
    const { code, err } = await landfall(promote, [
      async (event) => {
        await put("images", image, imageWith({ conflict: { found: digest("c"), sinceMs: startMs } }));
        await put("events", event, eventWith({ outcome: "ordered" }));
      },
    ]);
    expect([code, err]).toEqual([1, expect.stringContaining("prod was moved by somebody else")]);
  });

  it.each([
    { outcome: "refused", detail: "nobody else moved it", code: 1 },
    { outcome: "undecodable", detail: "its data is no JSON", code: 1 },
    { outcome: "held-back", detail: "diverged", code: 1 },
    { outcome: "superseded", detail: "a newer commit is there", code: 0 },
  ])("ends with $code at an event that is done as $outcome", async ({ outcome, detail, code }) => {
    const step: Step = (event) => put("events", event, eventWith({ outcome, detail }));
    const printed = await landfall(promote, [step]);
    expect(printed.code).toBe(code);
    expect(printed.out + printed.err).toContain(`(${detail})`);
  });

  it("gives up after its timeout, and says that nobody takes messages there", async () => {
    const { code, err, said } = await landfall(`${promote} --timeout 90s`);
    expect([code, said]).toEqual([
      1,
      ["published; nobody has taken it yet", expect.stringContaining("nobody has taken it for 15 s")],
    ]);
    expect(err).toMatch(/does a Landfall run there.*\nGiven up after 1 min 30 s; what happens goes on\.\n$/);
  });

  it("gives up on an event that waits, with what it waits for", async () => {
    const detail = "git.acme.io does not answer";
    const step: Step = (event) =>
      put("events", event, eventWith({ state: "waiting", outcome: "waiting", detail }));
    const { code, err } = await landfall(promote, [step]);
    expect([code, err]).toEqual([1, expect.stringContaining(detail)]);
  });

  it("gives everything as data", async () => {
    const step: Step = (event) => put("events", event, eventWith({ outcome: "ordered" }));
    const { json } = await landfall(`${promote} --json`, [step]);
    expect(json()).toMatchObject({
      published: true,
      ended: true,
      outcome: { state: "done", outcome: "ordered" },
      rollouts: [],
      conflicts: [],
    });
  });
});

describe("landfall promote", () => {
  const published = async (line: string) => {
    const printed = await landfall(line);
    const bus = inlineBus({ store: ledgerPath, clock: systemClock });
    const heard: unknown[] = [];
    const delivering = bus.deliver(async ({ message }) => {
      heard.push(JSON.parse(Buffer.from(message.data, "base64").toString("utf8")));
      return "ack";
    });
    await delivering.idle();
    await bus.close();
    return { ...printed, heard };
  };

  it.each([
    { line: `promote ${image} prod`, how: "move", to: image },
    { line: `promote ${image} prod --adopt`, how: "adopt", to: image },
    { line: "promote acme/web prod --restore", how: "restore", to: "docker.io/acme/web" },
  ])("publishes the order, and who gave it: $line", async ({ line, how, to }) => {
    const { heard, code, out } = await published(line);
    expect(code).toBe(0);
    const event = expect.stringMatching(/^promote-[0-9a-f-]{36}$/);
    const by = expect.stringMatching(/^[^@]+@[^@]+$/);
    expect(heard).toEqual([
      { kind: "promote", event, heardMs: startMs, image: to, channel: "prod", how, by },
    ]);
    expect(out).toContain(`${to} prod is ordered:`);
  });

  it("publishes nothing in a dry run", async () => {
    const { heard, code, out } = await published(`promote ${image} prod --dry-run`);
    expect([heard, code, out]).toEqual([[], 0, expect.stringContaining("would be ordered:")]);
  });

  it.each<[line: string, code: number, says: string]>([
    ["promote", 2, "which channel"],
    [`promote ${image}`, 2, "which channel"],
    [`promote ${image}:v1 prod`, 2, "has a tag or digest"],
    ["promote ACME/Api prod", 2, "is no image"],
    [`promote ${image} not/a/tag`, 2, "channels are tags"],
    [`promote ${image} prod --adopt --restore`, 2, "not both"],
    [`promote ${image} prod --timeout never`, 2, "--timeout"],
  ])("`%s` exits with %i", async (line, code, says) => {
    const { heard, code: got, err } = await published(line);
    expect([heard, got, err]).toEqual([[], code, expect.stringContaining(says)]);
  });

  it.each<[line: string, code: number, says: string]>([
    [`promote ${image} prod --dry-run`, 0, ""],
    [`promote ${image} prdo`, 1, "Did you mean `prod`?"],
    [`promote ${image} canary`, 1, "It has int, prod."],
    ["promote gcr.io/acme/other prod", 1, "It has no channels there."],
    ["promote ghcr.io/acme/api prod", 1, "is not matched by `follow`"],
  ])("looks the channel up in the configuration, where there is one: `%s`", async (line, code, says) => {
    const path = join(folder, "landfall.yaml");
    await writeFile(
      path,
      JSON.stringify({
        follow: ["gcr.io/acme/*"],
        images: [
          {
            image,
            git: { url: "https://git.acme.io/api", branch: "main" },
            channels: [{ tag: "int" }, { tag: "prod", after: "int" }],
          },
        ],
      }),
    );
    env = { ...env, LANDFALL_CONFIG: path };
    const { heard, code: got, err } = await published(line);
    expect([heard, got, err]).toEqual([[], code, expect.stringContaining(says)]);
  });
});
