import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type BuiltImage,
  buildImage,
  type ImageMediaType,
  mediaTypes,
} from "../../functions/local/sandbox/registry/image.ts";
import type { Digest, Repository } from "../../shared/domain/reference.ts";
import type { Platform } from "../../shared/domain/workload.ts";
import type { Registry } from "../../shared/registry/registry.ts";

export interface RegistryUnderTest {
  readonly registry: Registry;
  /** One that nothing has been pushed to. */
  readonly repository: Repository;
  push(tag: string, image: BuiltImage): Promise<void>;
  close(): Promise<void>;
}

const kinds: readonly { name: string; mediaType: ImageMediaType }[] = [
  { name: "a Docker manifest", mediaType: mediaTypes.dockerManifest },
  { name: "a Docker list", mediaType: mediaTypes.dockerList },
  { name: "an OCI manifest", mediaType: mediaTypes.ociManifest },
  { name: "an OCI index", mediaType: mediaTypes.ociIndex },
];
const absent: Digest = `sha256:${"0".repeat(64)}`;

/** What every registry promises. The contract closes what `make` gives. */
export function registryContract(name: string, make: () => Promise<RegistryUnderTest>): void {
  describe(`${name} keeps the registry's contract`, () => {
    let under: RegistryUnderTest;
    let registry: Registry;
    let repository: Repository;
    beforeEach(async () => {
      under = await make();
      ({ registry, repository } = under);
    });
    afterEach(() => under.close());

    describe.each(kinds)("with $name", ({ mediaType }) => {
      const image = buildImage({ content: "one", mediaType });
      const { digest, bytes } = image.manifest;
      beforeEach(() => under.push("v1", image));

      it("tells digest and type of a tag", async () => {
        expect(await registry.head(repository, "v1")).toEqual({ digest, mediaType });
      });

      it("tells digest and type of a digest", async () => {
        expect(await registry.head(repository, digest)).toEqual({ digest, mediaType });
      });

      it("gives the bytes as they were pushed, by tag and by digest", async () => {
        for (const reference of ["v1", digest]) {
          const manifest = await registry.get(repository, reference);
          expect(manifest).toMatchObject({ digest, mediaType });
          expect(Buffer.from(manifest?.bytes ?? []).equals(bytes)).toBe(true);
        }
      });

      it("writes the same bytes under another tag with the same digest", async () => {
        const manifest = await registry.get(repository, "v1");
        if (manifest === undefined) throw new Error("nothing to write");
        await registry.put(repository, "prod", manifest);
        expect(await registry.head(repository, "prod")).toEqual({ digest, mediaType });
      });
    });

    it("finds no manifest where there is none", async () => {
      await under.push("v1", buildImage({ content: "one" }));
      const elsewhere: Repository = `${repository}/none`;
      for (const reference of ["nope", absent, "-no-tag", "x".repeat(129), "sha256:abc", "V1"]) {
        expect(await registry.head(repository, reference)).toBeUndefined();
        expect(await registry.get(repository, reference)).toBeUndefined();
        expect(await registry.head(elsewhere, reference)).toBeUndefined();
      }
    });

    it("moves a tag that exists, and leaves the other tags", async () => {
      const [one, two] = [buildImage({ content: "one" }), buildImage({ content: "two" })];
      await under.push("v1", one);
      await under.push("v2", two);
      await under.push("prod", one);
      const manifest = await registry.get(repository, "v2");
      if (manifest === undefined) throw new Error("nothing to write");
      await registry.put(repository, "prod", manifest);
      expect(await registry.head(repository, "prod")).toMatchObject({ digest: two.manifest.digest });
      expect(await registry.head(repository, "v1")).toMatchObject({ digest: one.manifest.digest });
    });

    it("refuses to write bytes that are not the digest's", async () => {
      const image = buildImage({ content: "one" });
      await under.push("v1", image);
      const bytes = Buffer.concat([image.manifest.bytes, Buffer.from("\n")]);
      await expect(registry.put(repository, "prod", { ...image.manifest, bytes })).rejects.toMatchObject({
        code: "REGISTRY_RESPONSE",
      });
      expect(await registry.head(repository, "prod")).toBeUndefined();
    });

    it("refuses to write an index whose manifests are elsewhere", async () => {
      await under.push("v1", buildImage({ content: "one" }));
      const { manifest } = buildImage({ content: "never pushed", mediaType: mediaTypes.ociIndex });
      await expect(registry.put(repository, "prod", manifest)).rejects.toMatchObject({
        code: "REGISTRY_RESPONSE",
        message: expect.stringContaining("MANIFEST_BLOB_UNKNOWN"),
      });
    });

    it("lists every tag, case kept", async () => {
      const image = buildImage({ content: "one" });
      for (const tag of ["v1", "Z9", "t00", "v10"]) await under.push(tag, image);
      expect((await registry.tags(repository)).toSorted()).toEqual(["Z9", "t00", "v1", "v10"]);
    });

    it("lists no tags of a repository that is not there", async () => {
      expect(await registry.tags(repository)).toEqual([]);
    });

    it.each<{ name: string; mediaType?: ImageMediaType; platforms: readonly Platform[] }>([
      { name: "a single manifest", platforms: [{ os: "linux", architecture: "arm64", variant: "v8" }] },
      {
        name: "an OCI manifest",
        mediaType: mediaTypes.ociManifest,
        platforms: [{ os: "linux", architecture: "s390x" }],
      },
      {
        name: "a list, in its order",
        platforms: [
          { os: "linux", architecture: "arm", variant: "v7" },
          { os: "linux", architecture: "amd64" },
        ],
      },
      {
        name: "an index with attestations",
        mediaType: mediaTypes.ociIndex,
        platforms: [
          { os: "linux", architecture: "amd64" },
          { os: "unknown", architecture: "unknown" },
        ],
      },
    ])("tells the platforms of $name", async ({ mediaType, platforms }) => {
      const image = buildImage({
        content: "one",
        platforms,
        ...(mediaType === undefined ? {} : { mediaType }),
      });
      await under.push("v1", image);
      expect(await registry.platforms(repository, image.manifest.digest)).toEqual(platforms);
    });

    it("knows no platforms of an image that is gone", async () => {
      await under.push("v1", buildImage({ content: "one" }));
      expect(await registry.platforms(repository, absent)).toEqual([]);
    });

    it("computes digests over the bytes", async () => {
      await under.push("v1", buildImage({ content: "one" }));
      const manifest = await registry.get(repository, "v1");
      expect(manifest?.digest).toBe(
        `sha256:${createHash("sha256")
          .update(manifest?.bytes ?? "")
          .digest("hex")}`,
      );
    });
  });
}
