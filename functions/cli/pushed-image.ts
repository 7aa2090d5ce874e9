import { buildMachine, environment, loadConfig } from "../../shared/config/load.ts";
import { type Digest, hostOf, type Repository } from "../../shared/domain/reference.ts";
import {
  messageOf,
  RegistryDeniedError,
  RegistryResponseError,
  RegistryUnavailableError,
} from "../../shared/errors.ts";
import { ociHost, oneRegistry } from "../wiring/registries.ts";
import type { Answer, CliContext } from "./command.ts";
import { dockerLogin } from "./docker-config.ts";

/** An image as it was pushed. */
export interface PushedImage {
  readonly repository: Repository;
  readonly tag: string;
  /** What the tag is expected to point to. */
  readonly digest?: Digest;
}

/** A registry may be a moment behind its own push: looked at again after these, ms. */
const looksMs = [1_000, 3_000] as const;

/**
 * The digest that the registry has under the tag, or why there is nothing to publish.
 * @throws ConfigError when the configuration or docker's cannot be used
 */
export async function pushedDigest(
  image: PushedImage,
  context: Pick<CliContext, "env" | "clock">,
): Promise<Digest | Answer> {
  const { repository, tag } = image;
  const name = `${repository}:${tag}`;
  const { registry, asked } = await imageRegistry(repository, context);
  try {
    const found = await look(registry, image, context);
    if (found === undefined) {
      return failed("MISSING", `${name} is not in the registry: it has to be pushed first.`);
    }
    if (image.digest !== undefined && image.digest !== found) {
      return failed("OTHER_DIGEST", `${name} is ${found} in the registry, and not ${image.digest}.`);
    }
    return found;
  } catch (error) {
    if (error instanceof RegistryDeniedError || error instanceof RegistryResponseError) {
      return failed(error.code, `${messageOf(error)}. It was asked ${asked}.`);
    }
    if (error instanceof RegistryUnavailableError) return failed(error.code, `${messageOf(error)}.`);
    throw error;
  } finally {
    await registry.close();
  }
}

async function look(
  registry: ImageRegistry["registry"],
  { repository, tag }: PushedImage,
  { clock }: Pick<CliContext, "clock">,
): Promise<Digest | undefined> {
  for (const pauseMs of looksMs) {
    try {
      const head = await registry.head(repository, tag);
      if (head !== undefined) return head.digest;
    } catch (error) {
      const canWait = error instanceof RegistryUnavailableError && (error.retryAfterMs ?? 0) <= pauseMs;
      if (!canWait) throw error;
    }
    await clock.sleep(pauseMs);
  }
  return (await registry.head(repository, tag))?.digest;
}

function failed(code: string, text: string): Answer {
  return { kind: "failed", text: `${text} Nothing was published.`, json: { code } };
}

/** The registry of an image, asked as the machine that has pushed the image can. */
interface ImageRegistry {
  readonly registry: Awaited<ReturnType<typeof oneRegistry>>;
  /** What it is asked with, for a person, e.g. `without a login`. */
  readonly asked: string;
}

/**
 * The login is that of `registries` in the configuration, where one is named and has one for this host, else docker's
 * own; without either the registry is asked anonymously.
 * @throws ConfigError when the configuration or docker's cannot be used
 */
async function imageRegistry(
  repository: Repository,
  { env, clock }: Pick<CliContext, "env" | "clock">,
): Promise<ImageRegistry> {
  const host = hostOf(repository);
  const { config: path } = environment(env);
  const loaded =
    path === undefined ? undefined : await loadConfig({ path, ...(env === undefined ? {} : { env }) });
  const entry = loaded?.config.registries.find((each) => each.host === host);
  const configured =
    loaded === undefined || entry === undefined
      ? { host, plainHttp: isLoopback(host) }
      : ociHost(entry, loaded);
  if (entry?.username !== undefined) {
    return { registry: await oneRegistry(configured, clock), asked: `with the login of ${path}` };
  }
  const { dockerConfig } = buildMachine(env);
  const login = await dockerLogin(dockerConfig, host, env);
  if (login === undefined) {
    const asked = `without a login, since ${dockerConfig} has none for ${host}`;
    return { registry: await oneRegistry(configured, clock), asked };
  }
  const { username, password, source } = login;
  const registry = await oneRegistry(
    { ...configured, username: () => username, password: () => password },
    clock,
  );
  return { registry, asked: `with docker's login, from ${source}` };
}

/** Docker asks registries on the machine itself by plain HTTP: https://docs.docker.com/reference/cli/dockerd/#insecure-registries. */
function isLoopback(host: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/.test(host);
}
