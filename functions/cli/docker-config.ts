import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import * as z from "zod/mini";
import type { Environment } from "../../shared/config/load.ts";
import { normaliseHost } from "../../shared/domain/reference.ts";
import { ConfigError } from "../../shared/errors.ts";

/** https://github.com/docker/cli/blob/master/cli/config/configfile/file.go */
const DockerConfig = z.object({
  auths: z.optional(
    z.record(z.string(), z.object({ auth: z.optional(z.string()), identitytoken: z.optional(z.string()) })),
  ),
  credHelpers: z.optional(z.record(z.string(), z.string())),
  credsStore: z.optional(z.string()),
});

/** https://github.com/docker/docker-credential-helpers#development */
const HelperAnswer = z.object({ Username: z.string(), Secret: z.string() });

export interface DockerLogin {
  readonly username: string;
  readonly password: string;
  /** Where it is from, for a person. */
  readonly source: string;
}

const helperMs = 10_000;
/** What Docker Hub's login is filed under. */
const dockerHub = "https://index.docker.io/v1/";
/** A user name that says that the secret is a token of another kind, which stands for a login at a token server. */
const identityUser = "<token>";

/**
 * What docker itself would log in to a registry with, looked for as docker does: the host's own credential helper, the
 * helper of all hosts, then what `docker login` wrote into the file.
 * @param host as image names have it, e.g. `docker.io`
 * @param env of the helper; the process's own when `undefined`
 * @returns `undefined` where docker would ask without a login
 * @throws ConfigError when there is a login that cannot be used
 */
export async function dockerLogin(
  path: string,
  host: string,
  env: Environment | undefined,
): Promise<DockerLogin | undefined> {
  const config = await readConfig(path);
  const key = host === "docker.io" ? dockerHub : host;
  const helper = config.credHelpers?.[key] ?? config.credHelpers?.[host] ?? config.credsStore;
  const login = helper === undefined ? undefined : await askHelper(helper, key, path, env);
  if (login !== undefined) return login;
  const entry = Object.entries(config.auths ?? {}).find(([name]) => hostOfKey(name) === host)?.[1];
  if (entry === undefined) return undefined;
  if ((entry.identitytoken ?? "") !== "") throw identityToken(path, host);
  const [, username, password] =
    /^([^:]+):(.*?)\0*$/s.exec(Buffer.from(entry.auth ?? "", "base64").toString("utf8")) ?? [];
  if (username === undefined || password === undefined) return undefined;
  return { username, password, source: path };
}

async function readConfig(path: string): Promise<z.infer<typeof DockerConfig>> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (code === "ENOENT" || code === "ENOTDIR") return {};
    throw new ConfigError([`docker's configuration ${path} cannot be read (${code})`]);
  }
  const parsed = DockerConfig.safeParse(jsonOf(text));
  if (!parsed.success) throw new ConfigError([`docker's configuration ${path} is not as docker writes it`]);
  return parsed.data;
}

async function askHelper(
  helper: string,
  key: string,
  path: string,
  env: Environment | undefined,
): Promise<DockerLogin | undefined> {
  const program = `docker-credential-${helper}`;
  const named = `${program}, which ${path} names for ${key},`;
  if (!/^[\w.-]+$/.test(helper)) throw new ConfigError([`${path} names a credential helper that is no name`]);
  const { code, out } = await run(program, key, env);
  if (code === "ENOENT") {
    throw new ConfigError([
      `${named} is not on the PATH; install it, or name the registry in LANDFALL_CONFIG`,
    ]);
  }
  if (code !== 0) {
    // All helpers word it so.
    if (/credentials not found/i.test(out)) return undefined;
    throw new ConfigError([`${named} gives no login; \`echo ${key} | ${program} get\` shows why`]);
  }
  const answer = HelperAnswer.safeParse(jsonOf(out));
  if (!answer.success) throw new ConfigError([`${named} answers with something that is no login`]);
  const { Username: username, Secret: password } = answer.data;
  if (username === identityUser) throw identityToken(program, key);
  return username === "" ? undefined : { username, password, source: program };
}

function run(
  program: string,
  input: string,
  env: Environment | undefined,
): Promise<{ code: string | number; out: string }> {
  return new Promise((resolve) => {
    const options = { timeout: helperMs, maxBuffer: 1 << 20, ...(env === undefined ? {} : { env }) };
    const child = execFile(program, ["get"], options, (error, out) =>
      resolve({ code: error === null ? 0 : (error.code ?? "killed"), out }),
    );
    // A helper that ends before it has read tells so by its exit code.
    child.stdin?.on("error", () => {}).end(`${input}\n`);
  });
}

function identityToken(source: string, host: string): ConfigError {
  return new ConfigError([
    `${source} has an identity token for ${host}, which Landfall cannot use; log in with a user name and a password or ` +
      "access token, or name the registry in LANDFALL_CONFIG",
  ]);
}

/** `https://index.docker.io/v1/` and `reg.example:5000` alike, as old versions of docker wrote more than the host. */
function hostOfKey(key: string): string {
  return normaliseHost(key.replace(/^https?:\/\//, "").split("/")[0] ?? "");
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
