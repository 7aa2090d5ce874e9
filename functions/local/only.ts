import { parseArgs } from "node:util";
import type { Settings } from "../../shared/config/load.ts";
import { ConfigError, messageOf } from "../../shared/errors.ts";
import { type FunctionName, functionNames } from "./runner.ts";

/**
 * Which functions this process runs: `--only builds,reconcile`, default all. The others are in other processes, on the
 * same bus, and where they need it on the same ledger.
 * @throws ConfigError when the settings are not for a part of them
 */
export function onlyOf(
  args: readonly string[],
  { config, ledger, bus }: Pick<Settings, "config" | "ledger" | "bus">,
): readonly FunctionName[] {
  const names = onlyText(args)?.split(",") ?? functionNames;
  const only = functionNames.filter((name) => names.includes(name));
  const problems: string[] = [];
  if (names.length !== only.length) {
    problems.push(`--only: write some of ${functionNames.join(", ")}, with commas between`);
  } else if (only.length < functionNames.length) {
    if (config === undefined) {
      problems.push("LANDFALL_CONFIG: is not set; the sandbox is there for all functions in one process");
    }
    if (bus.kind === "inline" && ledger.kind === "memory") {
      problems.push("LANDFALL_LEDGER: `memory:` and the bus in it are of this process only; use `file:PATH`");
    }
    if (bus.kind === "pubsub" && only.includes("builds") && !only.includes("webhook")) {
      problems.push("LANDFALL_BUS: `pubsub:` only publishes; builds takes `pubsub-pull:SUBSCRIPTION`");
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return only;
}

function onlyText(args: readonly string[]): string | undefined {
  try {
    return parseArgs({ args: [...args], options: { only: { type: "string" } } }).values.only;
  } catch (error) {
    throw new ConfigError([messageOf(error)]);
  }
}
