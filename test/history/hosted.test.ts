import { systemClock } from "../../shared/clock.ts";
import { githubHost } from "../../shared/history/github.ts";
import { gitilesHost } from "../../shared/history/gitiles.ts";
import { httpClient } from "../../shared/http.ts";
import { historyContract } from "../contracts/history.ts";
import { memoryGraph } from "../doubles/commit-graph.ts";
import { githubServer } from "../doubles/github-server.ts";
import { gitilesServer } from "../doubles/gitiles-server.ts";
import { skippingClock } from "../doubles/skipping-clock.ts";

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
