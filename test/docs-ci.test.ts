import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import * as z from "zod/mini";
import { runCli } from "../functions/cli/main.ts";
import { asBuild, ImageBuild } from "../shared/domain/build.ts";

const page = readFileSync(join(import.meta.dirname, "../docs/ci.md"), "utf8");

function examples(language: string): readonly string[] {
  const fences = page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm"));
  return [...fences].map(([, text = ""]) => text);
}

const CloudBuild = z.object({
  steps: z.array(z.object({ id: z.string(), name: z.string(), args: z.array(z.string()) })),
  options: z.object({ automapSubstitutions: z.literal(true) }),
});
const Workflow = z.object({
  permissions: z.object({ "id-token": z.literal("write") }),
  jobs: z.object({
    image: z.object({
      steps: z.array(z.object({ run: z.optional(z.string()), uses: z.optional(z.string()) })),
    }),
  }),
});

/** Whether the command line knows every word of it: with `--help` nothing is done. */
async function isUnderstood(words: readonly string[]): Promise<boolean> {
  const { code } = await runCli([...words, "--help"], {
    env: {},
    clock: { now: () => 0, monotonic: () => 0, sleep: async () => {} },
    progress: () => {},
    openLedger: () => Promise.reject(new Error("no ledger")),
  });
  return code === 0;
}

/** The words of a line of shell, as far as documentation goes. */
function wordsOf(line: string): readonly string[] {
  return (line.match(/"[^"]*"|'[^']*'|[^\s"']+/g) ?? []).map((word) => word.replace(/^(["'])(.*)\1$/, "$2"));
}

describe("the page for CI", () => {
  it("shows a Cloud Build that pushes before it publishes", async () => {
    const [text = ""] = examples("yaml");
    const { steps } = CloudBuild.parse(parse(text));
    expect(steps.map(({ id }) => id)).toEqual(["build", "push", "publish"]);
    const publish = steps.at(-1)?.args ?? [];
    expect(publish.slice(0, 2)).toEqual(["publish", steps[1]?.args[1]]);
    expect(await isUnderstood(publish)).toBe(true);
  });

  it("shows a GitHub workflow that pushes before it publishes, and publishes without a key", async () => {
    const [, text = ""] = examples("yaml");
    const { steps } = Workflow.parse(parse(text)).jobs.image;
    const runs = steps.flatMap(({ run }) => (run === undefined ? [] : [wordsOf(run)]));
    const push = runs.find(([program, verb]) => program === "docker" && verb === "push");
    const [, script, ...publish] = runs.at(-1) ?? [];
    expect(script).toMatch(/functions\/cli\/landfall\.js$/);
    expect(publish.slice(0, 2)).toEqual(["publish", push?.[2]]);
    expect(await isUnderstood(publish)).toBe(true);
    const used = steps.map(({ uses = "" }) => uses.split("@")[0]);
    expect(used.indexOf("google-github-actions/auth")).toBeGreaterThan(used.indexOf("docker/login-action"));
  });

  it("shows command lines that are understood", async () => {
    const lines = examples("sh")
      .map((text) => text.replaceAll("\\\n", ""))
      .filter((text) => text.startsWith("landfall "));
    expect(lines.length).toBeGreaterThan(0);
    for (const line of lines) expect(await isUnderstood(wordsOf(line).slice(1))).toBe(true);
    expect(await isUnderstood(["publish", "acme/api:v1", "--nonsense"])).toBe(false);
  });

  const messages = [
    ...examples("json"),
    ...[...page.matchAll(/--message='([^']+)'/g)].map(([, text = ""]) => text),
  ].map((text) => ({ text, json: JSON.parse(text) as unknown }));

  it.each(messages)("shows a message that is accepted, with the commit it is about: $text", ({ json }) => {
    expect(ImageBuild.parse(asBuild(json))).toMatchObject({
      kind: "build",
      commit: "840ee5a432444a504020e1ec3b25e2e3f4763e7b",
    });
  });

  it("shows the whole form, Skia's, and gcloud's line", () => {
    const fields = messages.map(({ json }) => Object.keys(json as object));
    expect(fields).toEqual([
      Object.keys(ImageBuild.shape).filter((name) => name !== "kind"),
      ["image_name", "tag", "repo"],
      ["image", "tag"],
    ]);
  });
});
