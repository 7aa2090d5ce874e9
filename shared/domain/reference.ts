/** A manifest's address: `sha256:` and 64 lower-case hex digits. */
export type Digest = `sha256:${string}`;

/** A host-qualified repository in its normal form, e.g. `docker.io/library/nginx` or `reg.example:5000/acme/web`. */
export type Repository = `${string}/${string}`;

/** What an image name says, normalised: equal images compare equal field by field. */
export interface Reference {
  readonly repository: Repository;
  readonly tag?: string;
  readonly digest?: Digest;
}

export type ParsedReference =
  | { readonly kind: "reference"; readonly reference: Reference }
  | { readonly kind: "invalid"; readonly reason: string };

const digestPattern = /^sha256:[0-9a-f]{64}$/;
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const componentPattern = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const hostPattern =
  /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*)(?::[0-9]{1,5})?$/;
const dockerHubHosts = new Set([
  "docker.io",
  "index.docker.io",
  "registry-1.docker.io",
  "registry.hub.docker.com",
]);
const maxPathLength = 255;

export function isDigest(text: unknown): text is Digest {
  return typeof text === "string" && digestPattern.test(text);
}

export function isTag(text: unknown): text is string {
  return typeof text === "string" && tagPattern.test(text);
}

/**
 * Reads an image name as `docker` and the OCI distribution spec do: `nginx` is `docker.io/library/nginx:latest`,
 * `host:5000/app` has no tag but `latest`, and a digest alone gets no tag.
 */
export function parseReference(text: string): ParsedReference {
  const at = text.indexOf("@");
  const named = at < 0 ? text : text.slice(0, at);
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !isDigest(digest)) {
    return invalid("after `@` a digest is expected: sha256: and 64 lower-case hex digits");
  }
  const colon = named.lastIndexOf(":");
  const tagged = colon > named.lastIndexOf("/");
  const name = tagged ? named.slice(0, colon) : named;
  const tag = tagged ? named.slice(colon + 1) : undefined;
  if (tag !== undefined && !isTag(tag)) {
    return invalid(
      "after the last `:` a tag is expected: 1 to 128 of A-Z a-z 0-9 _ . -, not starting with . or -",
    );
  }
  if (/^[0-9a-f]{64}$/.test(name)) return invalid("64 hex digits are an image id, not a name");
  const repository = parseRepository(name);
  if (repository.kind === "invalid") return repository;
  return {
    kind: "reference",
    reference: {
      repository: repository.repository,
      ...(tag !== undefined ? { tag } : digest === undefined ? { tag: "latest" } : {}),
      ...(digest !== undefined ? { digest } : {}),
    },
  };
}

/** Reads a name without tag and digest, e.g. `acme/web`, into its host-qualified form. */
export function parseRepository(
  name: string,
): { kind: "repository"; repository: Repository } | { kind: "invalid"; reason: string } {
  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  const hasHost = first === "localhost" || /[.:A-Z]/.test(first);
  return hasHost ? repositoryAt(first, name.slice(slash + 1)) : repositoryAt("docker.io", name);
}

/**
 * The repository with that path on that host. Unlike in `parseRepository` the host is given, not guessed: a host
 * without dot and port, e.g. `registry`, is one here.
 */
export function repositoryAt(
  host: string,
  name: string,
): { kind: "repository"; repository: Repository } | { kind: "invalid"; reason: string } {
  if (!hostPattern.test(host)) return invalid(`\`${host}\` is no host name`);
  const registry = normaliseHost(host);
  const path = registry === "docker.io" && !name.includes("/") ? `library/${name}` : name;
  if (path.length > maxPathLength)
    return invalid(`the repository's path is longer than ${maxPathLength} characters`);
  if (!path.split("/").every((component) => componentPattern.test(component))) {
    return invalid("a repository's path is lower-case letters and digits, joined by `/` and by . _ __ -");
  }
  return { kind: "repository", repository: `${registry}/${path}` };
}

/** Prints a reference in its normal form; `parseReference` reads it back to an equal one. */
export function printReference(reference: Reference): string {
  const tag = reference.tag === undefined ? "" : `:${reference.tag}`;
  const digest = reference.digest === undefined ? "" : `@${reference.digest}`;
  return `${reference.repository}${tag}${digest}`;
}

/** Lower-cases a registry host and folds every spelling of Docker Hub into `docker.io`; a port is kept. */
export function normaliseHost(host: string): string {
  const lower = host.toLowerCase();
  return dockerHubHosts.has(lower) ? "docker.io" : lower;
}

export function hostOf(repository: Repository): string {
  return repository.slice(0, repository.indexOf("/"));
}

export function pathOf(repository: Repository): string {
  return repository.slice(repository.indexOf("/") + 1);
}

/**
 * Prints a name the way `docker service inspect` shows it: Docker Hub's host is left away, and so is `library/` before
 * a single component. A name that would then be read as another one keeps both, e.g. `docker.io/localhost/web`.
 */
export function familiarName(repository: Repository): string {
  if (hostOf(repository) !== "docker.io") return repository;
  const short = pathOf(repository).replace(/^library\/(?=[^/]+$)/, "");
  const read = parseReference(short);
  return read.kind === "reference" && read.reference.repository === repository ? short : repository;
}

function invalid(reason: string): { kind: "invalid"; reason: string } {
  return { kind: "invalid", reason };
}
