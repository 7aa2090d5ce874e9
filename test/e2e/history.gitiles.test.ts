import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gitilesHost } from "../../shared/history/gitiles.ts";
import { httpClient } from "../../shared/http.ts";
import { historyContract } from "../contracts/history.ts";
import { gitilesServer } from "../doubles/gitiles-server.ts";
import { skippingClock } from "../doubles/skipping-clock.ts";
import { gitGraph } from "./git/graph.ts";
import { makeRepository } from "./git/repository.ts";

historyContract(
  "gitiles, on repositories of git,",
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "landfall-gitiles-"));
    const server = await gitilesServer({
      basePath: "/plugins/gitiles",
      authorization: "Bearer ya29.landfall",
    });
    return {
      host: gitilesHost({
        base: server.base,
        token: () => "ya29.landfall",
        client: httpClient(),
        // Four requests a second are waited for by none of the tests.
        clock: skippingClock(),
        deadlineMs: 24 * 3_600_000,
      }),
      async serve(graph) {
        const repository = await makeRepository(graph, folder);
        server.add(graph.name, gitGraph(repository));
        return { url: `https://gerrit.acme.io/a/${graph.name}`, id: repository.id };
      },
      missingUrl: "https://gerrit.acme.io/missing",
      async close() {
        await server.close();
        await rm(folder, { recursive: true });
      },
    };
  },
  { knowsUnreachable: false },
);
