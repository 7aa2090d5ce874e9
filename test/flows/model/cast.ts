import type { ImageRule } from "../../../shared/decide/rules.ts";
import { type Digest, parseReference, type Repository } from "../../../shared/domain/reference.ts";
import type { Rollout } from "../../../shared/domain/rollout.ts";
import { modelHistory } from "../../doubles/model-history.ts";
import { channelRule, line } from "../image-world.ts";
import { digestOf } from "../world.ts";
import { commits, letters, type Service } from "./script.ts";

export const web: Repository = "docker.io/acme/web";
export const app: Repository = "docker.io/acme/app";
export const history = modelHistory(line);
export const repositoryOf = (service: Service): Repository => (service === "web" ? web : app);

/** `web` follows its tag; `app` has commits and a channel. */
export function ruleOf(repository: Repository): ImageRule {
  return repository === web
    ? { channels: [], policy: { kind: "tag" }, ignores: () => false }
    : {
        git: { url: "https://git.example/app", branch: "main", rebuilds: true },
        channels: [channelRule("prod")],
        policy: { kind: "commit" },
        ignores: () => false,
      };
}

const bad = ["X", ...commits.map((commit) => `X of ${commit}`)];
const names = ["a", ...letters, ...commits, ...bad];
const nameByDigest = new Map(names.map((name): [string, string] => [digestOf(name), name]));

/** Whether an image exits by its own fault. */
export function isBad(digest: Digest | undefined): boolean {
  return digest !== undefined && bad.some((name) => digestOf(name) === digest);
}

/** What a digest is called here; the digest itself where it has no name. */
export function nameOf(digest: Digest | undefined): string {
  return nameByDigest.get(digest ?? "") ?? digest ?? "nothing";
}

/** Where an image's commit stands on main, from 0; `undefined`: it has none. */
export function placeOf(digest: Digest | undefined): number | undefined {
  const at = commits.findIndex((commit) => nameOf(digest).endsWith(commit));
  return at === -1 ? undefined : at;
}

export function digestIn(image: string | undefined): Digest | undefined {
  const parsed = parseReference(image ?? "");
  return parsed.kind === "reference" ? parsed.reference.digest : undefined;
}

/** Whether a person asked for it; what undoes a failure has the number of what failed. */
export function isPersons({ kind, of, by }: Rollout["cause"]): boolean {
  return (
    of === undefined && (kind === "deploy" || kind === "rollback" || (kind === "drift" && by !== undefined))
  );
}
