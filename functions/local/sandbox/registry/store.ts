import { createHash, randomUUID } from "node:crypto";
import * as z from "zod/mini";
import { DigestText } from "../../../../shared/domain/push.ts";
import type { Digest } from "../../../../shared/domain/reference.ts";

const RepositoryState = z.object({
  blobs: z.array(DigestText),
  manifests: z.record(z.string(), z.string()),
  tags: z.record(z.string(), DigestText),
});

/** Everything a sandbox registry holds, as JSON: contents in base64 by digest, then what each repository links to. */
export const RegistryState = z.object({
  contents: z.record(z.string(), z.string()),
  repositories: z.record(z.string(), RepositoryState),
});
export type RegistryState = z.infer<typeof RegistryState>;

interface Repository {
  readonly blobs: Set<Digest>;
  /** Media types by digest. */
  readonly manifests: Map<Digest, string>;
  readonly tags: Map<string, Digest>;
}

export interface StoredManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Buffer;
}

interface Upload {
  readonly repository: string;
  readonly chunks: Buffer[];
}

/** What the registry holds, in memory. Like the real one it keeps contents once, and links to them by repository. */
export class RegistryStore {
  readonly #contents = new Map<Digest, Buffer>();
  readonly #repositories = new Map<string, Repository>();
  readonly #uploads = new Map<string, Upload>();

  repositories(): readonly string[] {
    return [...this.#repositories.keys()].sort();
  }

  has(name: string): boolean {
    return this.#repositories.has(name);
  }

  /** In the order of pushing: clients must not expect another. */
  tags(name: string): readonly string[] {
    return [...(this.#repositories.get(name)?.tags.keys() ?? [])];
  }

  tagged(name: string, tag: string): Digest | undefined {
    return this.#repositories.get(name)?.tags.get(tag);
  }

  blob(name: string, digest: Digest): Buffer | undefined {
    return this.#repositories.get(name)?.blobs.has(digest) ? this.#contents.get(digest) : undefined;
  }

  manifest(name: string, digest: Digest): StoredManifest | undefined {
    const mediaType = this.#repositories.get(name)?.manifests.get(digest);
    const bytes = this.#contents.get(digest);
    return mediaType === undefined || bytes === undefined ? undefined : { digest, mediaType, bytes };
  }

  putBlob(name: string, bytes: Buffer): Digest {
    const digest = digestOf(bytes);
    this.#contents.set(digest, bytes);
    this.#repository(name).blobs.add(digest);
    return digest;
  }

  /** Links a blob of another repository; false when it is not there. */
  mountBlob(name: string, from: string, digest: Digest): boolean {
    if (this.blob(from, digest) === undefined) return false;
    this.#repository(name).blobs.add(digest);
    return true;
  }

  putManifest(name: string, mediaType: string, bytes: Buffer, tag: string | undefined): StoredManifest {
    const digest = digestOf(bytes);
    const repository = this.#repository(name);
    this.#contents.set(digest, bytes);
    repository.manifests.set(digest, mediaType);
    if (tag !== undefined) repository.tags.set(tag, digest);
    return { digest, mediaType, bytes };
  }

  /** Removes the manifest and, as the real registry does, every tag that points at it. */
  deleteManifest(name: string, digest: Digest): boolean {
    const repository = this.#repositories.get(name);
    if (repository === undefined || !repository.manifests.delete(digest)) return false;
    for (const [tag, pointsAt] of repository.tags) if (pointsAt === digest) repository.tags.delete(tag);
    return true;
  }

  openUpload(repository: string): string {
    const id = randomUUID();
    this.#uploads.set(id, { repository, chunks: [] });
    return id;
  }

  /** Bytes received so far; `undefined` when there is no such upload. */
  appendUpload(repository: string, id: string, chunk: Buffer): number | undefined {
    const upload = this.#upload(repository, id);
    if (upload === undefined) return undefined;
    if (chunk.length > 0) upload.chunks.push(chunk);
    return upload.chunks.reduce((sum, { length }) => sum + length, 0);
  }

  /** Turns the upload into a blob, when its content has that digest; the upload stays open otherwise. */
  finishUpload(repository: string, id: string, digest: string): Digest | "digest-invalid" | undefined {
    const upload = this.#upload(repository, id);
    if (upload === undefined) return undefined;
    const bytes = Buffer.concat(upload.chunks);
    if (digestOf(bytes) !== digest) return "digest-invalid";
    this.#uploads.delete(id);
    return this.putBlob(repository, bytes);
  }

  dropUpload(repository: string, id: string): boolean {
    return this.#upload(repository, id) !== undefined && this.#uploads.delete(id);
  }

  snapshot(): RegistryState {
    return {
      contents: Object.fromEntries(
        [...this.#contents].map(([digest, bytes]) => [digest, bytes.toString("base64")]),
      ),
      repositories: Object.fromEntries(
        [...this.#repositories].map(([name, { blobs, manifests, tags }]) => [
          name,
          { blobs: [...blobs], manifests: Object.fromEntries(manifests), tags: Object.fromEntries(tags) },
        ]),
      ),
    };
  }

  /** Replaces everything; uploads under way are forgotten. */
  restore(state: RegistryState): void {
    this.#contents.clear();
    this.#repositories.clear();
    this.#uploads.clear();
    for (const content of Object.values(state.contents)) {
      const bytes = Buffer.from(content, "base64");
      this.#contents.set(digestOf(bytes), bytes);
    }
    for (const [name, { blobs, manifests, tags }] of Object.entries(state.repositories)) {
      this.#repositories.set(name, {
        blobs: new Set(blobs),
        manifests: new Map(Object.entries(manifests) as [Digest, string][]),
        tags: new Map(Object.entries(tags)),
      });
    }
  }

  #repository(name: string): Repository {
    const known = this.#repositories.get(name);
    if (known !== undefined) return known;
    const made: Repository = { blobs: new Set(), manifests: new Map(), tags: new Map() };
    this.#repositories.set(name, made);
    return made;
  }

  #upload(repository: string, id: string): Upload | undefined {
    const upload = this.#uploads.get(id);
    return upload?.repository === repository ? upload : undefined;
  }
}

export function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
