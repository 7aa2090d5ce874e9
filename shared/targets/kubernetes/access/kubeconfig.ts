import { dirname, resolve } from "node:path";
import { parse } from "yaml";
import * as z from "zod/mini";
import { TargetDeniedError } from "../../../errors.ts";
import type { ClusterConnection } from "../access.ts";
import { bearer, pem } from "./material.ts";

const text = z.optional(z.nullable(z.string()));

/** https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/ */
const Cluster = z.object({
  server: z.string(),
  "certificate-authority": text,
  "certificate-authority-data": text,
  "tls-server-name": text,
  "proxy-url": text,
  "insecure-skip-tls-verify": z.optional(z.nullable(z.boolean())),
});
const User = z.object({
  token: text,
  tokenFile: text,
  "client-certificate": text,
  "client-certificate-data": text,
  "client-key": text,
  "client-key-data": text,
  username: text,
  exec: z.optional(z.unknown()),
  "auth-provider": z.optional(z.unknown()),
  as: text,
});
const Context = z.object({ cluster: z.string(), user: text });
const named = <S extends z.ZodMiniType>(key: string, schema: S) =>
  z.optional(z.nullable(z.array(z.looseObject({ name: z.string(), [key]: schema }))));
const Kubeconfig = z.object({
  "current-context": text,
  clusters: named("cluster", z.unknown()),
  users: named("user", z.unknown()),
  contexts: named("context", z.unknown()),
});
type Cluster = z.infer<typeof Cluster>;
type User = z.infer<typeof User>;

export interface KubeconfigOptions {
  /** Name of the target, for messages. */
  readonly target: string;
  readonly path: string;
  /** Default: the file's own current one. */
  readonly context: string | undefined;
  /** The text of a file as it is now. @throws Error with a `code` such as `ENOENT` */
  readonly readFile: (path: string) => Promise<string>;
}

/** A context of a kubeconfig file: everything is read at each call of the result. */
export function readKubeconfig(options: KubeconfigOptions): () => Promise<ClusterConnection> {
  const { target, path } = options;
  const denied = (problem: string, cause?: unknown) =>
    new TargetDeniedError(`${target}: kubeconfig ${path}: ${problem}`, { cause });

  const read = async (file: string) => {
    try {
      return await options.readFile(resolve(dirname(path), file));
    } catch (error) {
      const code = error instanceof Error && "code" in error ? ` (${String(error.code)})` : "";
      throw denied(`the file ${file} cannot be read${code}`, error);
    }
  };

  /** What `NAME-data` holds in base64, or else the file that `NAME` names. */
  async function material(
    part: Readonly<Record<string, unknown>>,
    name: string,
    kind: string,
  ): Promise<string | undefined> {
    const data = part[`${name}-data`];
    if (typeof data === "string" && data !== "") {
      return pem(
        Buffer.from(data, "base64").toString("utf8"),
        kind,
        `${target}: kubeconfig ${path}: ${name}-data`,
      );
    }
    const file = part[name];
    if (typeof file !== "string" || file === "") return undefined;
    return pem(await read(file), kind, `${target}: kubeconfig ${path}: the file of ${name}`);
  }

  async function proofOf(user: User): Promise<Pick<ClusterConnection, "cert" | "key" | "headers">> {
    const token = user.tokenFile ? await read(user.tokenFile) : user.token;
    const headers = token ? bearer(token, `${target}: kubeconfig ${path}: the token`) : {};
    const cert = await material(user, "client-certificate", "CERTIFICATE");
    const key = await material(user, "client-key", "PRIVATE KEY");
    if ((cert === undefined) !== (key === undefined)) {
      throw denied(
        `the user has a client ${cert === undefined ? "key" : "certificate"} without the other half`,
      );
    }
    if (cert !== undefined && key !== undefined) return { cert, key, headers };
    if (!token) throw denied("the user has neither a token nor a client certificate");
    return { headers };
  }

  return async () => {
    const { cluster, user } = chosen(await read(path), options.context, denied);
    for (const problem of [clusterProblem(cluster), userProblem(user)]) {
      if (problem !== undefined) throw denied(problem);
    }
    const ca = await material(cluster, "certificate-authority", "CERTIFICATE");
    const servername = cluster["tls-server-name"];
    return {
      server: cluster.server.replace(/\/+$/, ""),
      ...(ca === undefined ? {} : { ca }),
      ...(servername ? { servername } : {}),
      ...(await proofOf(user)),
    };
  };
}

/** Values are never quoted: a kubeconfig is full of secrets. */
function chosen(
  file: string,
  wanted: string | undefined,
  denied: (problem: string, cause?: unknown) => Error,
): { readonly cluster: Cluster; readonly user: User } {
  let raw: unknown;
  try {
    raw = parse(file, { logLevel: "error" });
  } catch (error) {
    // The parser's message and frame quote the file.
    const { line } =
      (error as { readonly linePos?: readonly { readonly line: number }[] }).linePos?.[0] ?? {};
    throw denied(`is no YAML${line === undefined ? "" : ` (line ${line})`}`);
  }
  const config = Kubeconfig.safeParse(raw);
  if (!config.success) throw denied(`is no kubeconfig: ${placesOf(config.error)}`);
  const { clusters, users, contexts } = config.data;
  const name = wanted ?? config.data["current-context"];
  if (!name) throw denied("has no current-context; name one in `context`");

  const entry = <S extends z.ZodMiniType>(
    list: readonly Readonly<Record<string, unknown>>[] | null | undefined,
    key: string,
    named: string,
    schema: S,
  ): z.infer<S> => {
    const found = list?.find((each) => each.name === named);
    if (found === undefined) {
      const known = (list ?? []).map((each) => String(each.name)).join(", ");
      throw denied(`has no ${key} ${named}; it has ${known === "" ? "none" : known}`);
    }
    const parsed = schema.safeParse(found[key]);
    if (!parsed.success) throw denied(`the ${key} ${named} is malformed: ${placesOf(parsed.error)}`);
    return parsed.data;
  };

  const context = entry(contexts, "context", name, Context);
  if (!context.user) throw denied(`the context ${name} has no user`);
  return {
    cluster: entry(clusters, "cluster", context.cluster, Cluster),
    user: entry(users, "user", context.user, User),
  };
}

function clusterProblem(cluster: Cluster): string | undefined {
  if (cluster["insecure-skip-tls-verify"] === true) {
    return "insecure-skip-tls-verify is not taken: anybody in between could read the token and answer instead; give certificate-authority";
  }
  if (cluster["proxy-url"]) return "proxy-url is not taken: Landfall must reach the server itself";
  const url = URL.parse(cluster.server);
  if (url?.protocol === "https:" && url.search === "" && url.username === "") return undefined;
  return url?.protocol === "http:"
    ? "the server is plain http, which shows the token to everybody in between; use https"
    : "the server is no https address";
}

function userProblem(user: User): string | undefined {
  if (user.exec) {
    return "the user runs a program (exec), which Landfall does not: for GKE use `gke`, elsewhere `server` with a ServiceAccount's token";
  }
  if (user["auth-provider"]) {
    return "auth-provider is gone from Kubernetes since 1.26: use a ServiceAccount's token";
  }
  if (user.username) return "a user name with a password is gone from Kubernetes since 1.19: use a token";
  if (user.as) return "impersonation (as) is not taken: bind the rights to the user itself";
  return undefined;
}

function placesOf(error: z.core.$ZodError): string {
  return error.issues
    .map(({ path }) => `${path.map(String).join(".") || "the whole"} does not fit`)
    .join("; ");
}
