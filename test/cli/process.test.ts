import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { embeddedLedger } from "../../shared/ledger/embedded.ts";
import { nodeEnvironment } from "../node-environment.ts";
import { startMs, workload } from "./record.ts";

const entry = `${import.meta.dirname}/../../functions/cli/landfall.js`;

function landfall(
  line: string,
  ledger: string,
  more: Readonly<Record<string, string>> = {},
): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    const env = { ...nodeEnvironment(), LANDFALL_LEDGER: ledger, ...more };
    const child = execFile(process.execPath, [entry, ...line.split(" ")], { env }, (_error, out, err) =>
      resolve({ code: child.exitCode ?? -1, out, err }),
    );
  });
}

describe("the landfall program", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "landfall-process-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("reads the ledger that the environment names, while another process has it open", async () => {
    const path = join(folder, "ledger.db");
    const ledger = embeddedLedger(path, { now: () => startMs, monotonic: () => 0, sleep: async () => {} });
    const value = workload("prod/web", 1);
    await ledger.commit("test", [{ collection: "workloads", id: value.workload, value, expect: 0 }]);
    const { code, out, err } = await landfall("status web", `file:${path}`);
    await ledger.close();
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toContain("prod/web");
  });

  it("says what to do when there is no ledger, and makes none", async () => {
    const path = join(folder, "nowhere.db");
    const { code, out, err } = await landfall("status", `file:${path}`);
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toMatch(/There is no ledger at .*nowhere\.db\. Start Landfall here \(`npm start`\)/);
    expect(existsSync(path)).toBe(false);
  });

  it("has nothing to read of a ledger in another process's memory", async () => {
    expect(await landfall("status", "memory:")).toMatchObject({
      code: 1,
      err: expect.stringContaining("file:PATH"),
    });
  });

  it("starts sooner the next time, from what Node keeps below the folder for temporary files", async () => {
    const { code } = await landfall("--version", "memory:", { TMPDIR: folder, NODE_COMPILE_CACHE: "" });
    expect(code).toBe(0);
    expect(existsSync(join(folder, "node-compile-cache"))).toBe(true);
  });
});
