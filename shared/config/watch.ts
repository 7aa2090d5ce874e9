import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Clock } from "../clock.ts";
import { ConfigError, messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { type Environment, type LoadedConfig, loadConfig } from "./load.ts";

/** How often the file is looked at again, ms. */
const lookEveryMs = 60_000;
/** Stands for a version of which nothing could be read. */
const unreadable = "";

/** The version in use. */
interface Version {
  readonly loaded: LoadedConfig;
  readonly text: string;
  /** `loaded`, the same promise for every call: many in each second ask for it. */
  readonly answer: Promise<LoadedConfig>;
}

export interface WatchOptions {
  readonly path: string;
  readonly clock: Pick<Clock, "monotonic">;
  readonly log: Log;
  /** The process's own environment, unless given. */
  readonly env?: Environment;
}

/** A version of the file that does not check, while an older one stays in use. */
interface Refused {
  /** Stands for its text. */
  readonly version: string;
  readonly problems: readonly string[];
}

export interface WatchedConfig {
  (): Promise<LoadedConfig>;
  /** Looks at the file now, however short ago that was done. */
  look(): Promise<LoadedConfig>;
  /** What the file was at the last look, if it is refused; the same object while it is the same version. */
  refused(): Refused | undefined;
}

/**
 * A configuration file that may change under a running process: at most once a minute a call looks at it again, and `look`
 * whenever it is called. The same object comes back while nothing has changed. A version that does not check is refused with the alert
 * `config-rejected`, once, and the old one stays.
 * @throws ConfigError when the very first version does not check
 */
export function watchedConfig(options: WatchOptions): WatchedConfig {
  const { path, clock, log } = options;
  let current: Version | undefined;
  let refused: (Refused & { readonly text: string }) | undefined;
  let lookedMs = Number.NEGATIVE_INFINITY;
  let looking: Promise<LoadedConfig> | undefined;

  async function use(text: string): Promise<LoadedConfig> {
    const env = options.env === undefined ? {} : { env: options.env };
    const loaded = await loadConfig({ path, text, ...env });
    current = { loaded, text, answer: Promise.resolve(loaded) };
    return loaded;
  }

  async function first(): Promise<LoadedConfig> {
    return use(await textOf(path));
  }

  async function again(old: Version): Promise<LoadedConfig> {
    let seen = unreadable;
    try {
      const text = await textOf(path);
      seen = text;
      if (text === refused?.text) return old.loaded;
      if (text === old.text) {
        refused = undefined;
        return old.loaded;
      }
      const loaded = await use(text);
      refused = undefined;
      log.write("notice", `the configuration changed: ${loaded.hash} replaces ${old.loaded.hash}`);
      return loaded;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      if (seen !== refused?.text) {
        log.write("alert", `config-rejected: ${old.loaded.hash} stays; ${messageOf(error)}`, {
          outcome: "config-rejected",
        });
        const version = createHash("sha256").update(seen).digest("hex").slice(0, 12);
        refused = { text: seen, version, problems: error.problems };
      }
      return old.loaded;
    }
  }

  const config = () => {
    const nowMs = clock.monotonic();
    if (current !== undefined && nowMs - lookedMs < lookEveryMs) return current.answer;
    if (looking === undefined) {
      looking = (current === undefined ? first() : again(current)).finally(() => {
        looking = undefined;
      });
      lookedMs = nowMs;
    }
    return looking;
  };
  const look = () => {
    lookedMs = Number.NEGATIVE_INFINITY;
    return config();
  };
  return Object.assign(config, { look, refused: () => refused });
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? ` (${String(error.code)})` : "";
    throw new ConfigError([`the configuration file ${path} cannot be read${code}`]);
  }
}
