import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { version } from "../shared/version.ts";

it("gives the version that package.json has", () => {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  expect((JSON.parse(text) as { version: string }).version).toBe(version);
});
