import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { watchedConfig } from "../../shared/config/watch.ts";
import type { Log } from "../../shared/log.ts";

const good = (follow: string) => `follow: ["docker.io/${follow}/*"]\n`;

describe("a configuration file under a running process", () => {
  let folder: string;
  let path: string;
  let nowMs: number;
  let lines: string[];
  const log: Log = { write: (severity, message) => lines.push(`${severity} ${message}`) };
  const watch = () => watchedConfig({ path, clock: { monotonic: () => nowMs }, log, env: {} });

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "landfall-watch-"));
    path = join(folder, "landfall.yaml");
    nowMs = 0;
    lines = [];
    writeFileSync(path, good("acme"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("is the same object while nothing has changed", async () => {
    const config = watch();
    const first = await config();
    nowMs += 3_600_000;
    expect(await config()).toBe(first);
    expect(lines).toEqual([]);
  });

  it("answers with one promise while it need not look, since each costs time in a function", async () => {
    const config = watch();
    await config();
    expect(config()).toBe(config());
  });

  it("is looked at again after a minute, and not before", async () => {
    const config = watch();
    const first = await config();
    writeFileSync(path, good("other"));
    nowMs += 59_000;
    expect(await config()).toBe(first);
    nowMs += 1_000;
    const second = await config();
    expect(second.config.follow).toEqual(["docker.io/other/*"]);
    expect(second.hash).not.toBe(first.hash);
  });

  it("is looked at at once by whoever has to have it as it is now", async () => {
    const config = watch();
    await config();
    writeFileSync(path, good("other"));
    expect((await config.look()).config.follow).toEqual(["docker.io/other/*"]);
    expect((await config()).config.follow).toEqual(["docker.io/other/*"]);
  });

  it.each<{ name: string; spoil: () => void }>([
    { name: "does not check", spoil: () => writeFileSync(path, "follow: []\n") },
    { name: "is no YAML", spoil: () => writeFileSync(path, "follow: [") },
    { name: "is gone", spoil: () => rmSync(path) },
  ])("keeps the old version and raises an alert when the new one $name", async ({ spoil }) => {
    const config = watch();
    const first = await config();
    spoil();
    nowMs += 60_000;
    expect(await config()).toBe(first);
    expect(lines).toEqual([expect.stringMatching(/^alert config-rejected/)]);
  });

  it("raises the alert once a version, and takes the next good one", async () => {
    const config = watch();
    await config();
    writeFileSync(path, "follow: []\n");
    for (let minute = 0; minute < 3; minute++) {
      nowMs += 60_000;
      await config();
    }
    expect(lines).toHaveLength(1);
    writeFileSync(path, good("mended"));
    nowMs += 60_000;
    expect((await config()).config.follow).toEqual(["docker.io/mended/*"]);
  });

  it.each([
    { name: "a better one", next: good("mended") },
    { name: "the one from before", next: good("acme") },
  ])("says what is refused, as one object, until there is $name", async ({ next }) => {
    const config = watch();
    await config();
    expect(config.refused()).toBeUndefined();
    writeFileSync(path, "follow: []\n");
    nowMs += 60_000;
    await config();
    const refused = config.refused();
    expect(refused).toMatchObject({
      version: expect.stringMatching(/^[0-9a-f]{12}$/),
      problems: [expect.stringMatching(/^follow \(line 1\)/)],
    });
    nowMs += 60_000;
    await config();
    expect(config.refused()).toBe(refused);
    writeFileSync(path, next);
    nowMs += 60_000;
    await config();
    expect(config.refused()).toBeUndefined();
  });

  it("does not start on a version that does not check", async () => {
    writeFileSync(path, "follow: []\n");
    await expect(watch()()).rejects.toMatchObject({ code: "CONFIG" });
  });

  it("is read once by callers at the same time", async () => {
    const config = watch();
    const [one, other] = await Promise.all([config(), config()]);
    expect(one).toBe(other);
  });
});
