import { type HttpAnswer, type HttpClient, HttpError, headerOf } from "../../../../shared/http.ts";
import { Refusal } from "./engine.ts";

/** A registry that a Swarmpit user linked. */
export interface RegistryAccount {
  /** e.g. `http://127.0.0.1:5000`; a service's registry matches when the URL contains its host. */
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
  /** Default `admin`. */
  readonly owner?: string;
  /** Usable by everyone. */
  readonly public?: boolean;
}

export interface Resolution {
  /** Blank when the registry answered with no Docker type: the pin is lost then. */
  readonly digest: string;
  readonly account?: RegistryAccount;
}

const manifestList = "application/vnd.docker.distribution.manifest.list.v2+json";
const manifestV2 = "application/vnd.docker.distribution.manifest.v2+json";
const registryDeadlineMs = 5_000;

/** Where Swarmpit looks an image up: by its name alone, whatever Docker would make of it. */
export function registryOf(name: string): { kind: "hub" } | { kind: "registry"; host: string } {
  const slash = name.indexOf("/");
  if (slash < 0 || !/[.:]|localhost/.test(name)) return { kind: "hub" };
  return { kind: "registry", host: name.slice(0, slash) };
}

/**
 * Resolves a digest as a redeploy does: two HEADs, each accepting one Docker type, so that OCI content is not found.
 * @param hub where Docker Hub is, e.g. the sandbox's registry; absent: unreachable
 * @throws Refusal with the registry's own status
 */
export async function resolve(
  http: HttpClient,
  accounts: readonly RegistryAccount[],
  hub: string | undefined,
  name: string,
  tag: string,
): Promise<Resolution> {
  const where = registryOf(name);
  if (where.kind === "hub") {
    if (hub === undefined) throw new Refusal(500, "index.docker.io: Name or service not known");
    const account = accounts.find((each) => each.url.includes("docker.io"));
    const path = name.includes("/") ? name : `library/${name}`;
    return { digest: await digestAt(http, hub, path, tag, account), ...(account && { account }) };
  }
  const account = accounts.find((each) => each.url.includes(where.host));
  if (account === undefined) {
    throw new Refusal(401, `No matching registry ( ${where.host} ) linked with Swarmpit`);
  }
  const path = name.slice(where.host.length + 1);
  return { digest: await digestAt(http, account.url, path, tag, account), account };
}

/** Base64 in the standard alphabet, as Swarmpit sends it; Docker reads the URL-safe one and drops what differs. */
export function registryAuth(account: RegistryAccount): string {
  const { username = "", password = "", url: serveraddress } = account;
  return Buffer.from(JSON.stringify({ username, password, serveraddress })).toString("base64");
}

async function digestAt(
  http: HttpClient,
  url: string,
  path: string,
  tag: string,
  account: RegistryAccount | undefined,
): Promise<string> {
  const manifest = `${url.replace(/\/+$/, "")}/v2/${path}/manifests/${tag}`;
  for (const type of [manifestList, manifestV2]) {
    const answer = await head(http, manifest, type, account);
    // A HEAD has no body, so that a refusal has no words.
    if (answer.status !== 200) throw new Refusal(answer.status, null);
    if (headerOf(answer, "content-type") === type) return headerOf(answer, "docker-content-digest") ?? "";
  }
  return "";
}

async function head(
  http: HttpClient,
  url: string,
  accept: string,
  account: RegistryAccount | undefined,
): Promise<HttpAnswer> {
  const send = (authorization?: string) =>
    ask(http, "HEAD", url, { accept, ...(authorization === undefined ? {} : { authorization }) });
  const first = await send();
  if (first.status !== 401) return first;
  const basic =
    account?.username === undefined
      ? undefined
      : `Basic ${Buffer.from(`${account.username}:${account.password ?? ""}`).toString("base64")}`;
  const challenge = headerOf(first, "www-authenticate") ?? "";
  if (!/^Bearer /i.test(challenge)) return basic === undefined ? first : send(basic);
  const parameters = new Map(
    [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]),
  );
  const query = new URLSearchParams({
    service: parameters.get("service") ?? "",
    scope: parameters.get("scope") ?? "",
  });
  const token = await ask(http, "GET", `${parameters.get("realm") ?? ""}?${query}`, {
    ...(basic === undefined ? {} : { authorization: basic }),
  });
  if (token.status !== 200) throw new Refusal(token.status, null);
  const answer = JSON.parse(token.body.toString("utf8")) as { token?: string; access_token?: string };
  return send(`Bearer ${answer.token ?? answer.access_token ?? ""}`);
}

async function ask(
  http: HttpClient,
  method: "GET" | "HEAD",
  url: string,
  headers: Readonly<Record<string, string>>,
): Promise<HttpAnswer> {
  try {
    return await http.request({
      method,
      url,
      headers,
      deadlineMs: registryDeadlineMs,
      maxBytes: 1024 * 1024,
    });
  } catch (error) {
    if (error instanceof HttpError && error.kind === "deadline") throw new Refusal(408, "Request timeout");
    throw error;
  }
}
