import { readFileSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { type BusSetting, busForms, parseBus } from "../bus/config.ts";
import { ConfigError } from "../errors.ts";
import { type LedgerSetting, ledgerForms, parseLedger } from "../ledger/config.ts";
import type { ResolveSecret } from "../secret.ts";
import { type CiBuild, ciBuild } from "./ci.ts";
import { configHash, parseConfig, textsOf } from "./parse.ts";
import { printPath } from "./problems.ts";
import type { Config } from "./schema.ts";
import { secretOf, type TemplateSources } from "./template.ts";

/** Variables by name, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface LoadedConfig {
  readonly config: Config;
  /** 12 hex digits; recorded with each rollout. */
  readonly hash: string;
  readonly secret: ResolveSecret;
}

/**
 * Reads and checks a configuration file. Its shape is checked whole; a secret is looked up when it is used, and
 * never before.
 * @param env the process's own environment, unless given
 * @param read how files are read, from the disk unless given
 * @param text what the file holds, where that is known already
 * @throws ConfigError with every problem
 */
export async function loadConfig(options: {
  readonly path: string;
  readonly env?: Environment;
  readonly read?: (path: string) => string;
  readonly text?: string;
}): Promise<LoadedConfig> {
  const config = await parseConfig(options.text ?? (await textOf(options.path, options.read)));
  return {
    config,
    hash: configHash(config),
    secret: resolver(config, {
      variable: (name) => (options.env ?? process.env)[name],
      file: options.read ?? freshFiles(),
    }),
  };
}

/** Looks up every `${…}` of a configuration once. @returns what is missing, by key; empty when all is there */
export function missingSecrets(loaded: LoadedConfig): readonly string[] {
  const templates = [...textsOf(loaded.config)].map(({ text }) => text).filter((text) => text.includes("${"));
  return [...new Set(templates)].flatMap((template) => {
    try {
      loaded.secret(template)();
      return [];
    } catch (error) {
      if (error instanceof ConfigError) return error.problems;
      throw error;
    }
  });
}

/** What the environment says of this process. */
export interface Settings {
  /** Path of the configuration file; `undefined`: none is named. */
  readonly config: string | undefined;
  readonly ledger: LedgerSetting;
  readonly bus: BusSetting;
  readonly pubsub: PubsubSetting;
  readonly port: number;
}

/** Where Pub/Sub is, as Google's own libraries are told. */
interface PubsubSetting {
  /** `GOOGLE_CLOUD_PROJECT`; undefined: the metadata server knows it. */
  readonly project: string | undefined;
  /** `PUBSUB_EMULATOR_HOST`, host and port; undefined: the real one. */
  readonly emulatorHost: string | undefined;
  /** `GCE_METADATA_HOST`, host and perhaps port; undefined: Google's own. */
  readonly metadataHost: string | undefined;
}

/**
 * `LANDFALL_CONFIG`, `LANDFALL_LEDGER` (`file:PATH`, `memory:` or `firestore:`), `LANDFALL_BUS` (`inline:`, `pubsub:TOPIC` or
 * `pubsub-pull:SUBSCRIPTION`), `PORT`, and what Google's own libraries read too. An empty variable is one that is not
 * set.
 * @throws ConfigError with every variable that is wrong
 */
export function environment(env: Environment = process.env): Settings {
  const problems: string[] = [];
  const config = env.LANDFALL_CONFIG || undefined;
  const firestoreEmulatorHost = env.FIRESTORE_EMULATOR_HOST || undefined;
  const project = env.GOOGLE_CLOUD_PROJECT || env.GCLOUD_PROJECT || undefined;
  const inCloud = (env.K_SERVICE ?? "") !== "" || firestoreEmulatorHost !== undefined;
  const ledgerText = env.LANDFALL_LEDGER || (inCloud ? "firestore:" : "file:.landfall/ledger.db");
  const ledger = parseLedger(ledgerText, { project, firestoreEmulatorHost });
  if (ledger === undefined) problems.push(`LANDFALL_LEDGER: write ${ledgerForms}`);
  const bus = parseBus(env.LANDFALL_BUS || "inline:");
  if (bus === undefined) problems.push(`LANDFALL_BUS: write ${busForms}`);
  const portText = env.PORT || "8080";
  const port = /^\d{1,5}$/.test(portText) ? Number(portText) : Number.NaN;
  if (!(port <= 65_535)) problems.push("PORT: write a number from 0 to 65535");
  if (ledger === undefined || bus === undefined || problems.length > 0) throw new ConfigError(problems);
  const pubsub = {
    project,
    emulatorHost: env.PUBSUB_EMULATOR_HOST || undefined,
    metadataHost: env.GCE_METADATA_HOST || undefined,
  };
  return { config, ledger, bus, pubsub, port };
}

/** What the machine that built an image says of it. */
export interface BuildMachine {
  readonly ci: CiBuild | undefined;
  /** Where `docker login` keeps what it was told: https://docs.docker.com/reference/cli/docker/#configuration-files. */
  readonly dockerConfig: string;
}

/** The variables of known CI systems, and `DOCKER_CONFIG` or `HOME`. */
export function buildMachine(env: Environment = process.env): BuildMachine {
  const folder = env.DOCKER_CONFIG || join(env.HOME || homedir(), ".docker");
  return { ci: ciBuild(env), dockerConfig: join(folder, "config.json") };
}

async function textOf(path: string, read: ((path: string) => string) | undefined): Promise<string> {
  try {
    return read === undefined ? await readFile(path, "utf8") : read(path);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? ` (${String(error.code)})` : "";
    throw new ConfigError([`the configuration file ${path} cannot be read${code}`]);
  }
}

function resolver(config: Config, sources: TemplateSources): ResolveSecret {
  return (template) => {
    const keys = [...textsOf(config)]
      .filter(({ text }) => text === template)
      .map(({ path }) => printPath(path));
    return secretOf(template, keys.join(", ") || "configuration", sources);
  };
}

/** Reads files from the disk, and again only when their time, size or inode has changed. */
function freshFiles(): (path: string) => string {
  const seen = new Map<string, { readonly stamp: string; readonly text: string }>();
  return (path) => {
    const { mtimeNs, size, ino } = statSync(path, { bigint: true });
    const stamp = `${mtimeNs}/${size}/${ino}`;
    const known = seen.get(path);
    if (known?.stamp === stamp) return known.text;
    const text = readFileSync(path, "utf8");
    seen.set(path, { stamp, text });
    return text;
  };
}
