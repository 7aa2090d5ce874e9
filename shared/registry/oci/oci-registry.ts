import { createHash } from "node:crypto";
import type { Clock } from "../../clock.ts";
import {
  type Digest,
  hostOf,
  isDigest,
  isTag,
  normaliseHost,
  pathOf,
  type Repository,
} from "../../domain/reference.ts";
import type { Platform } from "../../domain/workload.ts";
import { RegistryResponseError } from "../../errors.ts";
import { type HttpAnswer, type HttpClient, type HttpOptions, headerOf, httpClient } from "../../http.ts";
import { readJson } from "../../json.ts";
import { Lru } from "../../lru.ts";
import type { Manifest, ManifestHead, Registry } from "../registry.ts";
import { codesOf, type RegistryClient, registryClient } from "./client.ts";
import { type OciHost, originOf, type Reach } from "./host.ts";
import {
  acceptEveryManifest,
  ImageIndex,
  ImageManifest,
  isIndexType,
  isManifestType,
  SelfDescribed,
  WirePlatform,
} from "./schema.ts";
import { allTags } from "./tags.ts";

export interface OciRegistryOptions {
  /** Hosts that are not here are asked anonymously, by https. */
  readonly registries: readonly OciHost[];
  readonly clock: Clock;
  readonly connect?: (options: HttpOptions) => HttpClient;
  /** For one call of the port with its tokens and redirects, and for each page of tags; default 10 s. */
  readonly deadlineMs?: number;
}

export interface OciRegistry extends Registry {
  close(): Promise<void>;
}

const defaultDeadlineMs = 10_000;

/**
 * Registries that speak the OCI distribution protocol (https://github.com/opencontainers/distribution-spec, v1.1).
 * Each host has a circuit of its own: after a 429, calls throw `RegistryUnavailableError` without being sent until
 * the registry's `Retry-After` has passed.
 */
export function ociRegistry(options: OciRegistryOptions): OciRegistry {
  const { clock, connect = httpClient, deadlineMs = defaultDeadlineMs } = options;
  const configured = new Map(options.registries.map((entry) => [normaliseHost(entry.host), entry]));
  const clients = new Map<string, RegistryClient>();
  const connections = new Map<string, HttpClient>();
  const platformsOf = new Lru<Digest, readonly Platform[]>(500);

  /** One client a trusted certificate, so that a rotated one gets its own. */
  const connection = (ca: string): HttpClient => {
    const open = connections.get(ca);
    if (open !== undefined) return open;
    const made = connect(ca === "" ? {} : { ca });
    connections.set(ca, made);
    return made;
  };

  const clientFor = (repository: Repository): RegistryClient => {
    const host = hostOf(repository);
    const known = clients.get(host);
    if (known !== undefined) return known;
    const entry: OciHost = { ...configured.get(host), host };
    const { username, password, ca } = entry;
    const reach: Reach = {
      host,
      origin: originOf(entry),
      plainHttp: entry.plainHttp ?? false,
      clock,
      deadlineMs,
      http: () => connection(ca?.() ?? ""),
      account: () =>
        username === undefined || password === undefined
          ? undefined
          : { username: username(), password: password() },
    };
    const made = registryClient(reach);
    clients.set(host, made);
    return made;
  };

  const askManifest = (method: "GET" | "HEAD", repository: Repository, reference: string, until: number) => {
    const client = clientFor(repository);
    return client.call({
      method,
      url: manifestUrl(client, repository, reference),
      access: { path: pathOf(repository), actions: "pull" },
      headers: { accept: acceptEveryManifest },
      tellsLimit: true,
      until,
      what: `${method} ${named(repository, reference)}`,
    });
  };

  const readHead = async (
    repository: Repository,
    reference: string,
    until: number,
  ): Promise<ManifestHead | undefined> => {
    if (!canExist(reference)) return undefined;
    const answer = await askManifest("HEAD", repository, reference, until);
    if (answer.status === 404) return undefined;
    const what = `HEAD ${named(repository, reference)}`;
    expect200(answer, repository, what);
    const mediaType = mediaTypeOf(answer);
    const digest = headerOf(answer, "docker-content-digest");
    // The digest header is optional by specification, and some registries send it on GET or HEAD only.
    if (mediaType === undefined || digest === undefined) return readManifest(repository, reference, until);
    refuseOtherTypes(mediaType, repository, what);
    if (!isDigest(digest) || (isDigest(reference) && digest !== reference)) {
      throw nonsense(repository, what, "a digest other than the one asked for, or none of sha256");
    }
    return { digest, mediaType };
  };

  const readManifest = async (
    repository: Repository,
    reference: string,
    until: number,
  ): Promise<Manifest | undefined> => {
    if (!canExist(reference)) return undefined;
    const answer = await askManifest("GET", repository, reference, until);
    const what = `GET ${named(repository, reference)}`;
    if (answer.status === 404) {
      if (/accept header/i.test(answer.body.toString("utf8"))) {
        throw nonsense(
          repository,
          what,
          "a complaint about the Accept header, which names every manifest type",
        );
      }
      return undefined;
    }
    expect200(answer, repository, what);
    const mediaType = mediaTypeOf(answer) ?? readJson(SelfDescribed, answer.body)?.mediaType ?? "no type";
    refuseOtherTypes(mediaType, repository, what);
    const digest = digestOf(answer.body);
    const claimed = headerOf(answer, "docker-content-digest");
    if ((claimed !== undefined && claimed !== digest) || (isDigest(reference) && reference !== digest)) {
      throw nonsense(repository, what, "content that does not have the digest it should have");
    }
    return { digest, mediaType, bytes: answer.body };
  };

  const readConfig = async (
    repository: Repository,
    digest: Digest,
    until: number,
  ): Promise<readonly Platform[]> => {
    const client = clientFor(repository);
    const path = pathOf(repository);
    const what = `GET the configuration of ${named(repository, digest)}`;
    const answer = await client.call({
      method: "GET",
      url: `${client.reach.origin}/v2/${path}/blobs/${digest}`,
      access: { path, actions: "pull" },
      until,
      what,
    });
    expect200(answer, repository, what);
    if (digestOf(answer.body) !== digest) {
      throw nonsense(repository, what, "content that does not have the digest it should have");
    }
    const config = readJson(WirePlatform, answer.body);
    if (config === undefined) throw nonsense(repository, what, "no image configuration");
    return config.os === undefined && config.architecture === undefined ? [] : [platformOf(config)];
  };

  const readPlatforms = async (repository: Repository, manifest: Manifest, until: number) => {
    const bytes = Buffer.from(manifest.bytes);
    const what = `GET ${named(repository, manifest.digest)}`;
    if (isIndexType(manifest.mediaType)) {
      const index = readJson(ImageIndex, bytes);
      if (index === undefined) throw nonsense(repository, what, "no image index");
      return index.manifests.map(({ platform }) => platformOf(platform ?? {}));
    }
    const single = readJson(ImageManifest, bytes);
    if (single === undefined) throw nonsense(repository, what, "no image manifest");
    return readConfig(repository, single.config.digest, until);
  };

  const deadline = () => clock.monotonic() + deadlineMs;

  return {
    head: async (repository, reference) => readHead(repository, reference, deadline()),
    get: async (repository, reference) => readManifest(repository, reference, deadline()),

    async put(repository, tag, manifest) {
      const until = deadline();
      const client = clientFor(repository);
      const what = `PUT ${named(repository, tag)}`;
      if (!isTag(tag) || digestOf(manifest.bytes) !== manifest.digest) {
        throw new RegistryResponseError(`${what} was not sent: no tag, or bytes that are not the digest's`);
      }
      const answer = await client.call({
        method: "PUT",
        url: manifestUrl(client, repository, tag),
        access: { path: pathOf(repository), actions: "pull,push" },
        headers: { "content-type": manifest.mediaType },
        body: manifest.bytes,
        until,
        what,
      });
      if (answer.status < 200 || answer.status > 299) {
        throw nonsense(repository, what, `${answer.status}${codesOf(answer)}`);
      }
      const stored = headerOf(answer, "docker-content-digest");
      if (stored !== undefined && stored !== manifest.digest) {
        throw nonsense(repository, what, "another digest than that of the bytes it was sent");
      }
    },

    tags: async (repository) => allTags(clientFor(repository), pathOf(repository)),

    async platforms(repository, digest) {
      const known = platformsOf.get(digest);
      if (known !== undefined) return known;
      const until = deadline();
      const manifest = await readManifest(repository, digest, until);
      if (manifest === undefined) return [];
      const platforms = await readPlatforms(repository, manifest, until);
      platformsOf.set(digest, platforms);
      return platforms;
    },

    limits: (host) => clients.get(normaliseHost(host))?.limit(),

    async close() {
      await Promise.all([...connections.values()].map((open) => open.close()));
    },
  };
}

function manifestUrl(client: RegistryClient, repository: Repository, reference: string): string {
  return `${client.reach.origin}/v2/${pathOf(repository)}/manifests/${reference}`;
}

/** No registry holds anything else, and several answer 500 when asked. */
function canExist(reference: string): boolean {
  return isTag(reference) || isDigest(reference);
}

function named(repository: Repository, reference: string): string {
  return `${pathOf(repository)}${isDigest(reference) ? "@" : ":"}${reference}`;
}

function mediaTypeOf(answer: HttpAnswer): string | undefined {
  const [type = ""] = (headerOf(answer, "content-type") ?? "").split(";");
  return type.trim() === "" ? undefined : type.trim().toLowerCase();
}

/** Schema 1 above all: registries make it up for clients that accept nothing else, with another body each time. */
function refuseOtherTypes(mediaType: string, repository: Repository, what: string): void {
  if (!isManifestType(mediaType)) {
    throw nonsense(
      repository,
      what,
      `something that is no manifest Landfall knows: ${mediaType.slice(0, 100)}`,
    );
  }
}

function expect200(answer: HttpAnswer, repository: Repository, what: string): void {
  if (answer.status !== 200) throw nonsense(repository, what, `${answer.status}${codesOf(answer)}`);
}

function nonsense(repository: Repository, what: string, answered: string): RegistryResponseError {
  return new RegistryResponseError(`${hostOf(repository)} answered ${what} with ${answered}`);
}

/** What the image does not say stays empty, as `docker` stores it. */
function platformOf({ os = "", architecture = "", variant }: WirePlatform): Platform {
  return { os, architecture, ...(variant === undefined ? {} : { variant }) };
}

function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
