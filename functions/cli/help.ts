import type { Command } from "./command.ts";
import { columns } from "./render/table.ts";

const commonOptions = [
  ["--json", "Print data instead of text; digests and times whole."],
  ["--detailed-exitcode", "Exit with 3 instead of 0 when there was nothing to do or to show."],
  ["-h, --help", "Print this."],
] as const;

const exitCodes = [
  ["0", "done, or nothing to do"],
  ["1", "failed"],
  ["2", "the command line is wrong"],
  ["3", "nothing to do, with --detailed-exitcode"],
] as const;

export function toolHelp(commands: readonly Command[]): string {
  return `${[
    "landfall: what was pushed, what was rolled out, and why or why not.",
    "Usage: landfall COMMAND [ARGUMENTS] [OPTIONS]",
    section(
      "Commands",
      commands.map(({ name, parameters, summary }) => [`${name} ${parameters}`.trim(), summary]),
    ),
    section("Options", [...commonOptions, ["--version", "Print the version."]]),
    section("Exit codes", exitCodes),
    section("Environment", [
      ["LANDFALL_CONFIG", "The configuration file; landfall.yaml when not set."],
      ["LANDFALL_LEDGER", "The ledger to read: file:PATH; file:.landfall/ledger.db when not set."],
      ["LANDFALL_BUS", "Where commands that act publish to: pubsub:TOPIC; the ledger's file when not set."],
    ]),
    "`landfall COMMAND --help` shows examples. At two in the morning start with `landfall status`, then `landfall explain`.",
  ].join("\n\n")}\n`;
}

export function commandHelp({ name, parameters, summary, help, options, examples }: Command): string {
  const own = Object.entries(options).map(
    ([option, { value, about }]) => [`--${option}${value === undefined ? "" : ` ${value}`}`, about] as const,
  );
  return `${[
    `landfall ${name}: ${summary}`,
    `Usage: landfall ${[name, parameters, "[OPTIONS]"].filter((part) => part !== "").join(" ")}`,
    help,
    section("Options", [...own, ...commonOptions]),
    section(
      "Examples",
      examples.map(([line, about]) => [`landfall ${line}`, about]),
    ),
  ].join("\n\n")}\n`;
}

function section(title: string, rows: readonly (readonly [string, string])[]): string {
  return `${title}:\n${columns(rows, "  ")}`;
}
