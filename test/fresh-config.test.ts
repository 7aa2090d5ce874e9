import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type Wiring, wire } from "../functions/wiring.ts";
import { systemClock } from "../shared/clock.ts";
import { watchedConfig } from "../shared/config/watch.ts";
import { silentLog } from "../shared/log.ts";

let folder: string;
let path: string;
let wiring: Wiring;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "landfall-fresh-"));
  path = join(folder, "landfall.yaml");
  await writeFile(path, 'follow: ["docker.io/acme/*"]');
  const clock = { ...systemClock, monotonic: () => 0 };
  const config = watchedConfig({ path, clock, log: silentLog, env: {} });
  wiring = wire({ settings: { ledger: { kind: "memory" } }, config, log: silentLog, clock });
});
afterEach(async () => {
  await wiring.close();
  await rm(folder, { recursive: true });
});

it("gives a full run what the file says now, though it was looked at just before", async () => {
  const before = await wiring.flows();
  await writeFile(path, 'follow: ["docker.io/other/*"]');
  expect((await wiring.flows()).configHash).toBe(before.configHash);
  const fresh = await before.fresh?.();
  expect(fresh?.follows("docker.io/other/web")).toBe(true);
  expect((await wiring.flows()).configHash).toBe(fresh?.configHash);
});

it("goes on with the old version where the new one does not check", async () => {
  const before = await wiring.flows();
  await writeFile(path, "follow: []");
  expect((await before.fresh?.())?.configHash).toBe(before.configHash);
});
