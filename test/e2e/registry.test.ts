import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { buildImage, mediaTypes } from "../../functions/local/sandbox/registry/image.ts";
import { systemClock } from "../../shared/clock.ts";
import type { Repository } from "../../shared/domain/reference.ts";
import type { OciHost } from "../../shared/registry/oci/host.ts";
import { ociRegistry } from "../../shared/registry/oci/oci-registry.ts";
import { type RegistryUnderTest, registryContract } from "../contracts/registry.ts";
import { pushImage } from "../doubles/image-pusher.ts";
import { testbed } from "./testbed.ts";

const account = { username: "landfall", password: "landfall-secret" };
const basic = `Basic ${Buffer.from(`${account.username}:${account.password}`).toString("base64")}`;
const credentials = { username: () => account.username, password: () => account.password };

async function make(entry: OciHost, authorization?: string): Promise<RegistryUnderTest> {
  const { host } = entry;
  const path = `e2e-registry/${randomBytes(6).toString("hex")}`;
  const registry = ociRegistry({ registries: [entry], clock: systemClock });
  const digests = new Set<string>();
  return {
    registry,
    repository: `${host}/${path}`,
    push: async (tag, image) => {
      for (const { digest } of [...image.children, image.manifest]) digests.add(digest);
      await pushImage(`http://${host}`, path, tag, image, authorization);
    },
    close: async () => {
      await registry.close();
      for (const digest of digests) {
        await fetch(`http://${host}/v2/${path}/manifests/${digest}`, {
          method: "DELETE",
          headers: authorization === undefined ? {} : { authorization },
        });
      }
    },
  };
}

registryContract("an open registry (Distribution)", async () =>
  make({ host: testbed().registry, plainHttp: true }),
);
registryContract("a registry with htpasswd (Distribution)", async () =>
  make({ host: testbed().registryAuth, plainHttp: true, ...credentials }, basic),
);

describe("a registry with htpasswd (Distribution)", () => {
  const wrong = () => "wr0ng";
  it.each<{ name: string; entry: Partial<OciHost> }>([
    { name: "no password", entry: {} },
    { name: "a wrong password", entry: { ...credentials, password: wrong } },
  ])("denies access with $name", async ({ entry }) => {
    const host = testbed().registryAuth;
    const registry = ociRegistry({ registries: [{ host, plainHttp: true, ...entry }], clock: systemClock });
    const repository: Repository = `${host}/e2e-registry/none`;
    await expect(registry.head(repository, "v1")).rejects.toMatchObject({ code: "REGISTRY_DENIED" });
    await registry.close();
  });
});

describe("an open registry (Distribution)", () => {
  it("keeps an index's digest when its bytes go to another tag, children and all", async () => {
    const under = await make({ host: testbed().registry, plainHttp: true });
    const platforms = [
      { os: "linux", architecture: "amd64" },
      { os: "linux", architecture: "arm64", variant: "v8" },
    ];
    await under.push("v1", buildImage({ content: "one", mediaType: mediaTypes.ociIndex, platforms }));
    const manifest = await under.registry.get(under.repository, "v1");
    if (manifest === undefined) throw new Error("nothing to write");
    await under.registry.put(under.repository, "prod", manifest);
    const { digest } = manifest;
    expect(await under.registry.head(under.repository, "prod")).toMatchObject({ digest });
    expect(await under.registry.platforms(under.repository, digest)).toEqual(platforms);
    await under.close();
  });
});
