import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../shared/clock.ts";
import { githubHost } from "../../shared/history/github.ts";
import { gitilesHost } from "../../shared/history/gitiles.ts";
import { httpClient } from "../../shared/http.ts";
import { historyContract } from "../contracts/history.ts";
import { historyOf, relationIn } from "../contracts/history-graphs.ts";
import { type CommitGraph, memoryGraph } from "../doubles/commit-graph.ts";
import { githubServer } from "../doubles/github-server.ts";
import { gitilesServer } from "../doubles/gitiles-server.ts";
import { skippingClock } from "../doubles/skipping-clock.ts";
import { anyGraph } from "./any-graph.ts";

historyContract("github, on graphs in memory,", async () => {
  const server = await githubServer();
  return {
    host: githubHost({ base: server.base, client: httpClient(), clock: systemClock, deadlineMs: 60_000 }),
    serve: async (graph) => {
      const made = memoryGraph(graph);
      server.add(`acme/${graph.name}`, made);
      return { url: `https://github.com/acme/${graph.name}`, id: made.id };
    },
    missingUrl: "https://github.com/acme/nothing",
    close: server.close,
  };
});

historyContract(
  "gitiles, on graphs in memory,",
  async () => {
    const server = await gitilesServer();
    // Four requests a second are waited for by none of the tests.
    const clock = skippingClock();
    return {
      host: gitilesHost({ base: server.base, client: httpClient(), clock, deadlineMs: 3_600_000 }),
      serve: async (graph) => {
        const made = memoryGraph(graph);
        server.add(graph.name, made);
        return { url: `https://acme.googlesource.com/${graph.name}`, id: made.id };
      },
      missingUrl: "https://acme.googlesource.com/nothing",
      close: server.close,
    };
  },
  { knowsUnreachable: false },
);

describe("any graph, with dates in any order,", () => {
  const kinds = [
    {
      kind: "github",
      serve: async (graph: CommitGraph) => {
        const server = await githubServer();
        server.add("acme/any", graph);
        const host = githubHost({ base: server.base, client: httpClient(), clock: systemClock });
        return { server, host };
      },
    },
    {
      kind: "gitiles",
      serve: async (graph: CommitGraph) => {
        const server = await gitilesServer();
        server.add("acme/any", graph);
        const clock = skippingClock();
        const host = gitilesHost({ base: server.base, client: httpClient(), clock, deadlineMs: 3_600_000 });
        return { server, host };
      },
    },
  ];

  it.each(kinds)("is read from $kind as walking it tells", async ({ serve }) => {
    await fc.assert(
      fc.asyncProperty(anyGraph, async (graph) => {
        const made = memoryGraph(graph);
        const { server, host } = await serve(made);
        const at = { url: "https://git.example/acme/any", branch: "main" };
        const names = graph.commits.map(({ name }) => name);
        const onMain = historyOf(graph, graph.branches.main ?? "");
        for (const from of names) {
          const told = await Promise.all(
            names.map((to) => host.relation(at.url, made.id(from), made.id(to))),
          );
          expect(told).toEqual(names.map((to) => relationIn(graph, from, to)));
          expect(await host.onBranch(at, made.id(from))).toBe(onMain.has(from) ? "on" : "off");
        }
        await host.close();
        await server.close();
      }),
      { numRuns: 25 },
    );
  });
});
