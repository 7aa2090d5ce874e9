import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { startGoogle } from "./doubles/google.ts";

const imported = /^(?:import|export)\s(?!type\b)(?:[^;]*?\sfrom\s)?"([^"]+)"/gm;

it("needs little to start the webhook: no HTTP client, no YAML, no cloud library, nothing that only flows of others use", () => {
  const { own, foreign } = graphOf(new URL("../functions/webhook.ts", import.meta.url));
  expect(own.size).toBeGreaterThan(10);
  expect([...foreign].toSorted()).toEqual(["node:crypto", "node:diagnostics_channel", "zod/mini"]);
  expect([...own].filter((file) => /\/(registry|targets|history|ledger|config|decide)\//.test(file))).toEqual(
    [],
  );
});

it("needs little to publish to Pub/Sub: no HTTP client, no cloud library, no lazy import of one", () => {
  const { own, foreign } = graphOf(new URL("../shared/bus/pubsub.ts", import.meta.url));
  expect(own.size).toBeGreaterThan(7);
  expect([...foreign]).toEqual(["zod/mini"]);
  expect([...own].filter((file) => /\bimport\(/.test(readFileSync(new URL(file), "utf8")))).toEqual([]);
  expect([...own].filter((file) => file.endsWith("/pull.ts") || file.endsWith("/http.ts"))).toEqual([]);
});

it("publishes to Pub/Sub without Node's own undici and what a plain import of node:http would load", async () => {
  const google = await startGoogle();
  const script = fileURLToPath(new URL("processes/publish.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script, google.host]);
  expect(google.requests.map(({ to }) => to)).toEqual(["token", "pubsub"]);
  await google.close();
  const loaded: readonly string[] = JSON.parse(stdout);
  expect(loaded).toContain("NativeModule http");
  expect(loaded.filter((name) => /undici/.test(name))).toEqual([]);
});

/** What a module loads before it can run; type imports and `import()` are not part of that. */
function graphOf(entry: URL): { readonly own: ReadonlySet<string>; readonly foreign: ReadonlySet<string> } {
  const own = new Set<string>();
  const foreign = new Set<string>();
  const open = [entry];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (own.has(file.href)) continue;
    own.add(file.href);
    for (const [, name = ""] of readFileSync(file, "utf8").matchAll(imported)) {
      if (name.startsWith(".")) open.push(new URL(name, file));
      else foreign.add(name);
    }
  }
  return { own, foreign };
}
