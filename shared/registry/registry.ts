import type { Digest, Repository } from "../domain/reference.ts";
import type { Platform } from "../domain/workload.ts";

/** What a tag or digest points at. `mediaType` is the manifest's own. */
export interface ManifestHead {
  readonly digest: Digest;
  readonly mediaType: string;
}

/** A manifest as the registry sent it; `bytes` hash to `digest` and may be written elsewhere unchanged. */
export interface Manifest extends ManifestHead {
  readonly bytes: Uint8Array;
}

/** What a registry says of its rate limit, e.g. Docker Hub's `ratelimit-remaining: 20;w=21600`. */
export interface RateLimit {
  readonly limit?: number;
  readonly remaining: number;
  /** The window that the numbers count for, ms. */
  readonly windowMs?: number;
}

/**
 * The registries of the configuration behind one door; each call goes to the repository's own host with that
 * host's own credentials.
 *
 * Every method throws `RegistryUnavailableError` (retryable; may carry `retryAfterMs`), `RegistryDeniedError`
 * (retryable: a person must mend it) or `RegistryResponseError` (retryable: the answer was no sense).
 * A manifest that is not there is `undefined`, never an error.
 */
export interface Registry {
  /** HEAD of `repository:reference`. Never counted as a pull by Docker Hub, never turned into a GET on 429. */
  head(repository: Repository, reference: string): Promise<ManifestHead | undefined>;
  /** GET of a manifest or index; the digest is computed over the bytes. */
  get(repository: Repository, reference: string): Promise<Manifest | undefined>;
  /**
   * PUT of exactly these bytes under a tag: one call, never repeated. The answer says that the registry took them, not
   * that the tag still points there.
   */
  put(repository: Repository, tag: string, manifest: Manifest): Promise<void>;
  /** Every tag of the repository, all pages, in no order. */
  tags(repository: Repository): Promise<readonly string[]>;
  /**
   * The platforms an image is made for, in the index's order (a single manifest: its configuration's one).
   * Empty when the image does not say. At most one GET of the manifest.
   */
  platforms(repository: Repository, digest: Digest): Promise<readonly Platform[]>;
  /** What that host's last answer about a manifest said of its rate limit; `undefined`: nothing. Asks nobody. */
  limits(host: string): RateLimit | undefined;
}
