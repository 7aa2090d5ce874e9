import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../shared/clock.ts";
import type { CommitHistory } from "../../shared/history/commit-history.ts";
import { gitHost } from "../../shared/history/git/git.ts";
import { createHistory } from "../../shared/history/index.ts";
import { type HttpClient, type HttpOptions, httpClient } from "../../shared/http.ts";
import { type HistoryUnderTest, historyContract } from "../contracts/history.ts";
import { type Graph, large } from "../contracts/history-graphs.ts";
import { type GitServer, serveGit } from "./git/http.ts";
import { type GraphRepository, makeRepository } from "./git/repository.ts";

async function servedByGit(): Promise<HistoryUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), "landfall-git-"));
  const server = await serveGit(folder);
  return {
    // the machine may be busy
    host: gitHost({ base: server.origin, client: httpClient(), clock: systemClock, deadlineMs: 60_000 }),
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

/** Commits whose long messages are alike, which git stores as differences. */
const talkative: Graph = {
  name: "talkative",
  commits: Array.from({ length: 60 }, (_, index) => ({
    name: nameOf(index),
    parents: index === 0 ? [] : [nameOf(index === 40 ? 20 : index - 1)],
    atS: 1_600_000_000 + 60 * index,
  })),
  branches: { main: nameOf(39), side: nameOf(59) },
};

function nameOf(index: number): string {
  return `${index} ${"of a change that many words are made about ".repeat(30)}`;
}

describe("a repository of 20,000 commits, served by git http-backend,", () => {
  let folder: string;
  let server: GitServer;
  let repository: GraphRepository;
  const at = { url: "https://git.example/large.git", branch: "main" };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "landfall-git-"));
    server = await serveGit(folder, {
      authorization: `Basic ${Buffer.from("ci:s3cret").toString("base64")}`,
    });
    repository = await makeRepository(large, folder);
  }, 120_000);
  afterAll(async () => {
    await server.close();
    await rm(folder, { recursive: true });
  });

  /** A history as the configuration describes it, and how much it has been sent. */
  function history(token: string): { readonly asked: CommitHistory; readonly bytes: () => number } {
    let bytes = 0;
    const connect = (options: HttpOptions): HttpClient => {
      const client = httpClient(options);
      return {
        ...client,
        async request(request) {
          const { read } = request;
          if (read === undefined) {
            const answer = await client.request(request);
            bytes += answer.body.length;
            return answer;
          }
          return client.request({
            ...request,
            read: (piece) => {
              bytes += piece.length;
              return read(piece);
            },
          });
        },
      };
    };
    const asked = createHistory(
      [{ host: "git.example", kind: "git", url: server.origin, plainHttp: true, username: "ci", token }],
      { secret: (template) => () => template, clock: systemClock, random: Math.random, connect },
    );
    return { asked, bytes: () => bytes };
  }

  it("has its newest commit told from its first in three questions and less than a kilobyte", async () => {
    const before = server.seen.length;
    const { asked, bytes } = history("s3cret");
    const { id } = repository;
    await expect(asked.order(at, id("n0"), id("n19999"))).resolves.toBe("newer");
    await asked.close();
    expect(server.seen.slice(before).map(({ method }) => method)).toEqual(["GET", "POST", "POST"]);
    expect(bytes()).toBeLessThan(1_000);
  });

  it("has its first commit told from its newest without all those between being sent", async () => {
    const before = server.seen.length;
    const { asked, bytes } = history("s3cret");
    const { id } = repository;
    await expect(asked.order(at, id("n19999"), id("n0"))).resolves.toBe("older");
    await asked.close();
    expect(server.seen.slice(before).map(({ method }) => method)).toEqual(["GET", "POST", "POST"]);
    // one piece off the network
    expect(bytes()).toBeLessThan(150_000);
  });

  it("is kept from who may not read it, and no order is guessed", async () => {
    const { asked } = history("wrong");
    const { id } = repository;
    await expect(asked.order(at, id("n0"), id("n1"))).rejects.toMatchObject({ code: "HISTORY_DENIED" });
    await asked.close();
  });
});

describe("a server of git's own,", () => {
  let folder: string;
  let server: GitServer;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "landfall-git-"));
    server = await serveGit(folder);
  });
  afterAll(async () => {
    await server.close();
    await rm(folder, { recursive: true });
  });

  it("may send commits as differences to others", async () => {
    const repository = await makeRepository(talkative, folder);
    await repository.git("repack", "-a", "-d", "-f", "-q", "--depth=50", "--window=50");
    const bases = await repository.git(
      "cat-file",
      "--batch-all-objects",
      "--batch-check=%(objecttype) %(deltabase)",
    );
    expect(bases).toMatch(/^commit (?!0+$)[0-9a-f]+$/m);
    const host = gitHost({ base: server.origin, client: httpClient(), clock: systemClock });
    const url = "https://git.example/talkative.git";
    const [main, side] = [repository.id(nameOf(39)), repository.id(nameOf(59))];
    await expect(host.relation(url, main, side)).resolves.toBe("diverged");
    await expect(host.relation(url, side, repository.id(nameOf(41)))).resolves.toBe("descendant");
    await host.close();
  });

  it("has 20,000 commits compared one by one within 160 MiB", async () => {
    const { id } = await makeRepository(large, folder);
    const script = fileURLToPath(new URL("processes/order-far.ts", import.meta.url));
    const args = [script, server.origin, id("s2"), id("n19999")];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    const { relation, maxRssMiB } = JSON.parse(stdout);
    expect(relation).toBe("diverged");
    expect(maxRssMiB).toBeLessThan(160);
  });
});
