import { readFileSync } from "node:fs";
import { expect, it } from "vitest";

const imported = /^(?:import|export)\s(?!type\b)(?:[^;]*?\sfrom\s)?"([^"]+)"/gm;

it("needs little to start the webhook: no HTTP client, no YAML, no cloud library, nothing that only flows of others use", () => {
  const { own, foreign } = graphOf(new URL("../functions/webhook.ts", import.meta.url));
  expect(own.size).toBeGreaterThan(10);
  expect([...foreign].toSorted()).toEqual(["node:crypto", "node:diagnostics_channel", "zod/mini"]);
  expect([...own].filter((file) => /\/(registry|targets|history|ledger|config|decide)\//.test(file))).toEqual(
    [],
  );
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
