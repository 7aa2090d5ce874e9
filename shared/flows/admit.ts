import type { ImagePush } from "../domain/push.ts";
import {
  hostOf,
  normaliseHost,
  parseRepository,
  pathOf,
  type Repository,
  repositoryAt,
} from "../domain/reference.ts";
import { ConfigError, messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Secret } from "../secret.ts";
import { sameSecret, secretProblem } from "../sources/hook-secret.ts";
import type { SignedDelivery, Source } from "../sources/source.ts";

/** One entry of `webhooks`: who may report pushes, and of what. */
export interface Webhook {
  readonly source: Source;
  /** Any of them admits; one that is unset, empty or too short admits nobody. */
  readonly secrets: readonly Secret[];
  /** What these secrets may speak for; absent: everything. */
  readonly repositories?: (repository: Repository) => boolean;
  /** The host that the sender reports → the host that the configuration and the workloads name. */
  readonly hostAliases?: Readonly<Record<string, string>>;
}

/** What a delivery offers as proof: the source it claims, a secret in its path, what its headers sign. */
export interface Claim extends SignedDelivery {
  readonly source: string;
  readonly secret: string;
}

/**
 * The entries that a delivery proves to come from. Every secret of every entry is compared, whatever matched before
 * and whether the source exists or not: neither the answer nor its time tells.
 */
export function admit(webhooks: readonly Webhook[], claim: Claim, log: Log): readonly Webhook[] {
  return webhooks.filter((webhook) => {
    const proofs = webhook.secrets.map((secret) => {
      const value = readSecret(secret, webhook, log);
      const inPath = sameSecret(claim.secret, value);
      const inHeaders = webhook.source.authenticate(claim, value);
      return value !== "" && (inPath || inHeaders);
    });
    return proofs.includes(true) && webhook.source.name === claim.source;
  });
}

/** Empty when the secret cannot be used: a mounted file may be missing, or hold something else since it was checked. */
function readSecret(secret: Secret, webhook: Webhook, log: Log): string {
  let value = "";
  let problem: string | undefined;
  try {
    value = secret();
    problem = secretProblem(value);
  } catch (error) {
    problem = error instanceof ConfigError ? messageOf(error) : "cannot be read";
  }
  if (problem === undefined) return value;
  log.write("error", "a webhook secret cannot be used", { source: webhook.source.name, problem });
  return "";
}

/** The image as the first entry that may speak for it names it; `undefined` when none may. */
export function scoped(image: ImagePush, admitted: readonly Webhook[]): ImagePush | undefined {
  for (const { hostAliases, repositories } of admitted) {
    const repository = aliased(image, hostAliases ?? {});
    if (repository === undefined || repositories?.(repository) === false) continue;
    return { ...image, registry: hostOf(repository), repository: pathOf(repository) };
  }
  return undefined;
}

/** `undefined` for a host that an image name cannot have, e.g. `registry`: without an alias it would mean Docker Hub. */
function aliased(image: ImagePush, aliases: Readonly<Record<string, string>>): Repository | undefined {
  const alias = Object.entries(aliases).find(([reported]) => normaliseHost(reported) === image.registry);
  const at = repositoryAt(alias?.[1] ?? image.registry, image.repository);
  if (at.kind === "invalid") return undefined;
  const read = parseRepository(at.repository);
  return read.kind === "repository" && read.repository === at.repository ? at.repository : undefined;
}
