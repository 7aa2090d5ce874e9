import type { Digest, Repository } from "../../shared/domain/reference.ts";
import { isDigest } from "../../shared/domain/reference.ts";
import type { Registry } from "../../shared/registry/registry.ts";

export interface ModelRegistry
  extends Pick<Registry, "head" | "get" | "put" | "platforms" | "tags" | "limits"> {
  /** Every PUT of a tag, in the order in which they took effect. */
  readonly puts: readonly { readonly tag: string; readonly digest: Digest; readonly bytes: Uint8Array }[];
  digestOf(repository: Repository, tag: string): Digest | undefined;
  /** Somebody pushes. */
  push(repository: Repository, tag: string, digest: Digest): void;
  remove(repository: Repository, tag: string): void;
  /** Somebody deletes a digest for good. */
  forget(digest: Digest): void;
}

const mediaType = "application/vnd.oci.image.index.v1+json";

/** A registry at the speed of memory, for properties that need thousands of runs. It holds every digest that it is not told to forget. */
export function modelRegistry(): ModelRegistry {
  const tags = new Map<string, Digest>();
  const puts: ModelRegistry["puts"][number][] = [];
  const forgotten = new Set<string>();
  const find = (repository: Repository, reference: string) => {
    const digest = isDigest(reference) ? reference : tags.get(`${repository}:${reference}`);
    return digest === undefined || forgotten.has(digest) ? undefined : digest;
  };
  return {
    puts,
    digestOf: find,
    push: (repository, tag, digest) => void tags.set(`${repository}:${tag}`, digest),
    forget: (digest) => void forgotten.add(digest),
    remove: (repository, tag) => void tags.delete(`${repository}:${tag}`),
    async head(repository, reference) {
      const digest = find(repository, reference);
      return digest === undefined ? undefined : { digest, mediaType };
    },
    async get(repository, reference) {
      const digest = find(repository, reference);
      return digest === undefined ? undefined : { digest, mediaType, bytes: Buffer.from(digest) };
    },
    async put(repository, tag, manifest) {
      tags.set(`${repository}:${tag}`, manifest.digest);
      puts.push({ tag, digest: manifest.digest, bytes: manifest.bytes });
    },
    platforms: async () => [],
    limits: () => undefined,
    tags: async (repository) =>
      [...tags.keys()].flatMap((key) =>
        key.startsWith(`${repository}:`) ? [key.slice(repository.length + 1)] : [],
      ),
  };
}
