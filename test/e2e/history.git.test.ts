import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../shared/clock.ts";
import { gitHost } from "../../shared/history/git/git.ts";
import { httpClient } from "../../shared/http.ts";
import { type HistoryUnderTest, historyContract } from "../contracts/history.ts";
import { serveGit } from "./git/http.ts";
import { makeRepository } from "./git/repository.ts";

async function servedByGit(): Promise<HistoryUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), "landfall-git-"));
  const server = await serveGit(folder);
  return {
    host: gitHost({ base: server.origin, client: httpClient(), clock: systemClock }),
    async serve(graph) {
      const { id } = await makeRepository(graph, folder);
      return { url: `https://git.example/${graph.name}.git`, id };
    },
    missingUrl: "https://git.example/missing.git",
    async close() {
      await server.close();
      await rm(folder, { recursive: true });
    },
  };
}

historyContract("git, served by git http-backend,", servedByGit, { plainGit: true });
