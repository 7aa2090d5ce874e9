import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { http } from "@google-cloud/functions-framework";
import { getTestServer } from "@google-cloud/functions-framework/testing";
import { afterEach, describe, expect, it } from "vitest";
import { createReconcile } from "../functions/reconcile.ts";
import type { ReconcileWiring } from "../functions/wiring/reconcile.ts";
import type { Bus } from "../shared/bus/bus.ts";
import type { FlowDeps } from "../shared/flows/deps.ts";
import { fullRunLease } from "../shared/flows/drift-turn.ts";
import type { DriftRow } from "../shared/ledger/report-document.ts";
import { silentLog } from "../shared/log.ts";
import { digestOf, tag, type World, world } from "./flows/world.ts";

const token = "correct-horse-battery-staple";
const full = '{"mode":"full"}';

let server: Server | undefined;
let names = 0;

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

interface Told {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly body: Readonly<Record<string, unknown>> & {
    readonly error: string;
    readonly report: string;
    readonly rows: readonly DriftRow[];
  };
}

/** A reconcile function over a world; what it answers. */
async function serving(
  here: World,
  change: Partial<FlowDeps> = {},
): Promise<(path: string, body: string, secret?: string) => Promise<Told>> {
  const deps: FlowDeps = { ...here.instance(), ...change };
  const wiring: Pick<ReconcileWiring, "log" | "clock" | "flows" | "callers"> = {
    log: silentLog,
    clock: here.clock,
    flows: async () => deps as FlowDeps & { readonly bus: Bus },
    callers: async () => ({
      auth: [{ kind: "bearer", token: "${RECONCILE_TOKEN}" }],
      deps: { now: () => here.clock.now(), certs: async () => ({}), secret: () => () => token },
    }),
  };
  const name = `reconcile-${names++}`;
  http(
    name,
    createReconcile(() => wiring as ReconcileWiring),
  );
  server = getTestServer(name).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return async (path, body, secret = token) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" },
      body,
    });
    const retryAfter = answer.headers.get("retry-after");
    return { status: answer.status, retryAfter, body: (await answer.json()) as Told["body"] };
  };
}

/** A world whose workloads were deployed by an event, and then missed one; a third one nobody deployed. */
async function behind(): Promise<World> {
  const here = world({ workloads: ["web", "api"] });
  here.push("b");
  here.undelivered.push(here.hear("e1"));
  await here.settle();
  here.push("c");
  here.target.create("old", `acme/web:${tag}@${digestOf("a")}`, { tasks: 1 });
  return here;
}

describe("POST /reconcile, full", () => {
  it("answers one row a container, with what it runs, had, is to have, and what was decided", async () => {
    const here = await behind();
    const { status, body } = await (await serving(here))("/reconcile", full);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      mode: "full",
      report: expect.stringMatching(/^drift-/),
      by: "bearer token RECONCILE_TOKEN",
      dryRun: false,
      adopt: false,
      counts: { missed: 2, new: 1 },
      guarded: [],
      troubles: [],
    });
    const web = body.rows.find(({ workload }) => workload === "swarm/web");
    expect(web).toEqual({
      workload: "swarm/web",
      container: "web",
      running: `docker.io/acme/web:${tag}@${digestOf("b")}`,
      deployed: digestOf("b"),
      wanted: digestOf("c"),
      verdict: "missed",
      seq: 2,
    });
    await here.settle();
    expect(here.target.imageOf("web")).toContain(digestOf("c"));
    expect(here.target.imageOf("old")).toContain(digestOf("a"));
  });

  it("shows the same rows in a dry run, but for the rollouts, and changes nothing", async () => {
    const here = await behind();
    const ask = await serving(here);
    const dry = await ask("/reconcile", '{"mode":"full","dryRun":true}');
    const writes = here.target.writes.length;
    await here.settle();
    expect(here.target.writes).toHaveLength(writes);
    const wet = await ask("/reconcile", full);
    const withoutSeq = wet.body.rows.map(({ seq: _, ...row }) => row);
    expect(dry.body.rows).toEqual(withoutSeq);
  });

  it("looks only at what is named", async () => {
    const ask = await serving(await behind());
    const asked = { mode: "full", dryRun: true, workloads: ["swarm/web"] };
    const { body } = await ask("/reconcile", JSON.stringify(asked));
    expect(body.rows.map(({ workload }) => workload)).toEqual(["swarm/web"]);
  });

  it.each([
    ["a target that is not there", '{"mode":"full","targets":["swram"]}', "no target swram"],
    ["an empty list", '{"mode":"full","workloads":[]}', "workloads: is empty"],
    ["a key that it does not know", '{"mode":"full","dryrun":true}', "there is no dryrun"],
    ["no mode", "{}", "mode: expected sweep or full"],
    ["another mode", '{"mode":"fast"}', "mode: expected sweep or full"],
    ["text where yes or no belongs", '{"mode":"full","adopt":"yes"}', "adopt: expected boolean"],
    ["a list", "[]", "body: expected object"],
    ["no JSON", "full", "no JSON"],
  ])("refuses %s", async (_name, body, says) => {
    const told = await (await serving(await behind()))("/reconcile", body);
    expect(told.status).toBe(400);
    expect(told.body.error).toContain(says);
  });

  it("answers only a summary and the report's id above 1,000 rows", async () => {
    const many = Array.from({ length: 1_001 }, (_, n) => `w${n}`);
    const here = world({ workloads: many });
    const { status, body } = await (await serving(here))("/reconcile", '{"mode":"full","dryRun":true}');
    expect(status).toBe(200);
    expect(body.rows).toBeUndefined();
    expect(body.counts).toEqual({ "in-sync": 1_001 });
    expect((await here.ledger.get("reports", body.report))?.value.chunks).toBe(3);
  });

  it("says who is at it and until when, while another full run is under way", async () => {
    const here = await behind();
    const holder = { id: "drift-0", by: "ada@acme.io", untilMs: here.clock.now() + 90_500 };
    const write = { collection: "leases", id: fullRunLease, expect: 0, value: { holder } } as const;
    await here.ledger.commit("other", [write]);
    const { status, retryAfter, body } = await (await serving(here))("/reconcile", full);
    expect(status).toBe(409);
    expect(retryAfter).toBe("91");
    expect(body).toEqual({
      error: "another full run is under way",
      by: "ada@acme.io",
      until: new Date(holder.untilMs).toISOString(),
      report: "drift-0",
    });
  });

  it("goes by the configuration as it is at that moment", async () => {
    const here = await behind();
    const old = here.instance();
    const changed: FlowDeps = { ...old, targets: [] };
    const ask = await serving(here, { fresh: async () => changed });
    expect((await ask("/reconcile", full)).body.rows).toEqual([]);
  });

  it("is nothing for a stranger", async () => {
    const here = await behind();
    const told = await (await serving(here))("/reconcile", full, "wrong-horse-battery-staple");
    expect(told).toEqual({ status: 401, retryAfter: null, body: { error: "the caller is not proven" } });
    expect(await here.ledger.get("leases", fullRunLease)).toBeUndefined();
  });
});

describe("POST /SmartRedeploy", () => {
  it.each([
    ["without a body", ""],
    ["with an empty object", "{}"],
  ])(
    "redeploys all that runs something else than is published, whoever put it there: %s",
    async (_name, sent) => {
      const here = await behind();
      here.target.create("api", `acme/web:${tag}@${digestOf("z")}`, { tasks: 2 });
      const { status, body } = await (await serving(here))("/SmartRedeploy", sent);
      expect(status).toBe(200);
      expect(body).toMatchObject({ adopt: true, counts: { missed: 1, new: 1, "changed-outside": 1 } });
      await here.settle();
      for (const name of ["web", "api", "old"]) expect(here.target.imageOf(name)).toContain(digestOf("c"));
    },
  );

  it("may be narrowed down", async () => {
    const here = await behind();
    const { body } = await (await serving(here))("/SmartRedeploy", '{"workloads":["swarm/old"]}');
    expect(body.counts).toEqual({ new: 1 });
    await here.settle();
    expect(here.target.imageOf("old")).toContain(digestOf("c"));
    expect(here.target.imageOf("web")).toContain(digestOf("b"));
  });

  it("is no sweep", async () => {
    const { status, body } = await (await serving(await behind()))("/SmartRedeploy", '{"mode":"sweep"}');
    expect([status, body.error]).toEqual([400, "mode: expected full"]);
  });
});
