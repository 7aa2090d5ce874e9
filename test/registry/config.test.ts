import { describe, expect, it } from "vitest";
import * as z from "zod/mini";
import { RegistryConfig } from "../../shared/registry/config.ts";

describe("an entry of `registries`", () => {
  it.each<{ name: string; host: string; normal: string }>([
    { name: "Docker Hub in any spelling", host: "index.docker.io", normal: "docker.io" },
    { name: "a host with a port, in lower case", host: "Reg.Example:5000", normal: "reg.example:5000" },
    { name: "localhost", host: "localhost", normal: "localhost" },
    { name: "an address", host: "127.0.0.1:5000", normal: "127.0.0.1:5000" },
    { name: "an address of version 6", host: "[::1]:5000", normal: "[::1]:5000" },
  ])("takes $name", ({ host, normal }) => {
    expect(RegistryConfig.parse({ host })).toEqual({ host: normal, nodes: "keep" });
  });

  it("keeps templates of secrets as they are", () => {
    const entry = {
      host: "reg.example",
      username: "${USER}",
      password: "${file:/secrets/registry}",
      nodes: "same",
      plainHttp: false,
      url: "https://registry.internal:5000",
      ca: "${file:/certs/ca.pem}",
    };
    expect(RegistryConfig.parse(entry)).toEqual(entry);
  });

  it("takes credentials of their own for nodes", () => {
    const nodes = { username: "puller", password: "secret" };
    expect(RegistryConfig.parse({ host: "reg.example", nodes })).toMatchObject({ nodes });
  });

  it.each<{ name: string; entry: object; path: readonly string[] }>([
    { name: "no host", entry: {}, path: ["host"] },
    { name: "a host that image names cannot have", entry: { host: "registry" }, path: ["host"] },
    { name: "a URL for a host", entry: { host: "https://reg.example" }, path: ["host"] },
    { name: "a host with a path", entry: { host: "reg.example/acme" }, path: ["host"] },
    { name: "a user without a password", entry: { username: "a" }, path: ["password"] },
    { name: "a password without a user", entry: { password: "a" }, path: ["username"] },
    { name: "`nodes: same` without a pair", entry: { nodes: "same" }, path: ["nodes"] },
    { name: "`nodes` of another word", entry: { nodes: "mine" }, path: ["nodes"] },
    { name: "a URL with a path", entry: { url: "https://reg.example/v2/" }, path: ["url"] },
    { name: "a URL with a password", entry: { url: "https://u:p@reg.example" }, path: ["url"] },
    {
      name: "a plain URL of a registry that is not plain",
      entry: { url: "http://reg.example" },
      path: ["url"],
    },
    { name: "a key of a later version", entry: { auth: "google" }, path: [] },
  ])("refuses $name", ({ entry, path }) => {
    const parsed = RegistryConfig.safeParse(path[0] === "host" ? entry : { host: "reg.example", ...entry });
    expect(parsed.error?.issues.map((issue) => issue.path)).toEqual([path]);
  });

  it("has a JSON Schema", () => {
    expect(z.toJSONSchema(RegistryConfig, { io: "input" })).toMatchObject({
      properties: { host: { type: "string" }, plainHttp: { type: "boolean" } },
      required: ["host"],
    });
  });
});
