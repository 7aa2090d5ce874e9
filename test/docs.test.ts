import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseConfig } from "../shared/config/parse.ts";

const root = join(import.meta.dirname, "..");
const pages = [
  "README.md",
  "CONTRIBUTING.md",
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md"))
    .map((file) => `docs/${file}`),
];
const read = (page: string) => readFileSync(join(root, page), "utf8");

describe("the documentation", () => {
  it("has no link to a file that is not there", () => {
    const links = pages.flatMap((page) =>
      [...read(page).matchAll(/\]\(([^)\s#:]+)(?:#[^)]*)?\)/g)].map(([, to = ""]) => ({ page, to })),
    );
    expect(links.length).toBeGreaterThan(20);
    expect(links.filter(({ page, to }) => !existsSync(join(root, dirname(page), to)))).toEqual([]);
  });

  it("lists every page in its index", () => {
    const index = read("docs/README.md");
    const listed = pages.filter((page) => page.startsWith("docs/") && page !== "docs/README.md");
    expect(listed.filter((page) => !index.includes(`(${page.slice("docs/".length)})`))).toEqual([]);
  });

  const examples = pages.flatMap((page) =>
    [...read(page).matchAll(/^( *)```yaml\n([\s\S]*?)^ *```$/gm)]
      .map(([, indent = "", text = ""]) => text.replaceAll(new RegExp(`^${indent}`, "gm"), ""))
      .filter((text) => /^follow:/m.test(text))
      .map((text, index) => ({ page, number: index + 1, text })),
  );

  it.each(examples)("shows a landfall.yaml that can be loaded: $page, number $number", async ({ text }) => {
    expect((await parseConfig(text)).follow.length).toBeGreaterThan(0);
  });

  it("shows a landfall.yaml for each target kind and source", () => {
    expect(examples.length).toBeGreaterThan(6);
  });

  it("names environment variables of real systems exactly as the tests ask for them", () => {
    const asked = ["needs-testbed.ts", "testbed.ts"].flatMap((file) =>
      read(`test/e2e/${file}`).match(/\bTESTBED_[A-Z_]+\b/g),
    );
    const explained = read("README.md").match(/(?<=^\| `)TESTBED_[A-Z_]+(?=`)/gm);
    expect([...new Set(explained)].toSorted()).toEqual([...new Set(asked)].toSorted());
  });
});
