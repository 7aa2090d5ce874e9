import { describe, expect, it } from "vitest";
import { WebhookConfig } from "../../shared/sources/config.ts";
import { secretProblem } from "../../shared/sources/hook-secret.ts";

const least = { source: "dockerhub", secrets: ["${DOCKERHUB_HOOK_SECRET}"] };

describe("an entry of webhooks", () => {
  it("takes the least, and everything", () => {
    const all = {
      source: "distribution",
      secrets: ["${OLD}", "${file:/secrets/new}"],
      repositories: ["registry.acme.io/b/*"],
      hostAliases: { "core:8080": "registry.acme.io" },
    };
    expect(WebhookConfig.parse(least)).toEqual(least);
    expect(WebhookConfig.parse(all)).toEqual(all);
  });

  it.each<{ name: string; entry: Record<string, unknown>; path: string }>([
    { name: "a source of a later version", entry: { source: "quay" }, path: "source" },
    { name: "a source that does not exist", entry: { source: "nexus" }, path: "source" },
    { name: "no secret", entry: { secrets: [] }, path: "secrets" },
    { name: "three secrets", entry: { secrets: ["${A}", "${B}", "${C}"] }, path: "secrets" },
    { name: "an empty secret", entry: { secrets: [""] }, path: "secrets.0" },
    { name: "a secret outside a list", entry: { secrets: "${A}" }, path: "secrets" },
    { name: "a repository without a host", entry: { repositories: ["acme/*"] }, path: "repositories.0" },
    { name: "no repositories", entry: { repositories: [] }, path: "repositories" },
    {
      name: "an alias to a URL",
      entry: { hostAliases: { core: "https://acme.io" } },
      path: "hostAliases.core",
    },
    { name: "a misspelt key", entry: { repository: ["docker.io/acme/*"] }, path: "" },
  ])("refuses $name", ({ entry, path }) => {
    const parsed = WebhookConfig.safeParse({ ...least, ...entry });
    expect(new Set(parsed.error?.issues.map((issue) => issue.path.join(".")))).toEqual(new Set([path]));
  });
});

describe("secretProblem", () => {
  it.each<{ name: string; value: string; usable: boolean }>([
    { name: "16 bytes", value: "0123456789abcdef", usable: true },
    { name: "15 bytes", value: "0123456789abcde", usable: false },
    { name: "16 bytes in 8 letters", value: "äöüßäöüß", usable: true },
    { name: "nothing", value: "", usable: false },
    { name: "the long name of a source", value: "cloudbuild-pubsub", usable: false },
  ])("finds $name usable: $usable", ({ value, usable }) => {
    expect(secretProblem(value) === undefined).toBe(usable);
  });

  it("never shows the value", () => {
    expect(secretProblem("hunter2")).not.toContain("hunter2");
  });
});
