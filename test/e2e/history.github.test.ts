import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../shared/clock.ts";
import { githubHost } from "../../shared/history/github.ts";
import { httpClient } from "../../shared/http.ts";
import { historyContract } from "../contracts/history.ts";
import { githubServer } from "../doubles/github-server.ts";
import { gitGraph } from "./git/graph.ts";
import { makeRepository } from "./git/repository.ts";

historyContract("github, on repositories of git,", async () => {
  const folder = await mkdtemp(join(tmpdir(), "landfall-github-"));
  const server = await githubServer({ basePath: "/api/v3", token: "ghp_landfall" });
  return {
    host: githubHost({
      base: server.base,
      token: () => "ghp_landfall",
      client: httpClient(),
      clock: systemClock,
      // A suite asks for 25 comparisons at once, and they go one after another.
      deadlineMs: 60_000,
    }),
    async serve(graph) {
      const repository = await makeRepository(graph, folder);
      server.add(`acme/${graph.name}`, gitGraph(repository));
      return { url: `https://git.acme.io/acme/${graph.name}.git`, id: repository.id };
    },
    missingUrl: "https://git.acme.io/acme/missing.git",
    async close() {
      await server.close();
      await rm(folder, { recursive: true });
    },
  };
});
