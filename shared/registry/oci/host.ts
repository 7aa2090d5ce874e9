import type { Clock } from "../../clock.ts";
import { RegistryResponseError } from "../../errors.ts";
import type { HttpClient } from "../../http.ts";
import type { Secret } from "../../secret.ts";

/** How one registry is reached; the credentials are for exactly this host. */
export interface OciHost {
  /** As image names have it, e.g. `docker.io` or `reg.example:5000`. */
  readonly host: string;
  /** Where Landfall itself reaches it, if elsewhere: an origin. */
  readonly url?: string;
  readonly plainHttp?: boolean;
  readonly ca?: Secret;
  readonly username?: Secret;
  readonly password?: Secret;
}

/** A host with all that its calls share. */
export interface Reach {
  readonly host: string;
  /** Scheme and authority of every call, e.g. `https://registry-1.docker.io`. */
  readonly origin: string;
  readonly plainHttp: boolean;
  readonly clock: Clock;
  readonly deadlineMs: number;
  /** Asked for anew at each call, so that rotated certificates are seen. */
  readonly http: () => HttpClient;
  readonly account: () => { readonly username: string; readonly password: string } | undefined;
}

/** Docker Hub's API is not where its names point. */
const apiHosts: Readonly<Record<string, string>> = { "docker.io": "registry-1.docker.io" };

export function originOf({ host, url, plainHttp }: OciHost): string {
  return url === undefined
    ? `${plainHttp ? "http" : "https"}://${apiHosts[host] ?? host}`
    : new URL(url).origin;
}

/**
 * An address that the registry names: https, or http where the registry itself is plain.
 * @throws RegistryResponseError
 */
export function namedUrl(reach: Reach, text: string, base: string | undefined, what: string): URL {
  const url = URL.parse(text, base);
  const allowed = url?.protocol === "https:" || (url?.protocol === "http:" && reach.plainHttp);
  if (url === null || !allowed || url.username !== "" || url.password !== "") {
    throw new RegistryResponseError(`${reach.host} names ${what} that is no https address`);
  }
  return url;
}
