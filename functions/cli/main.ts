import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { systemClock } from "../../shared/clock.ts";
import { environment } from "../../shared/config/load.ts";
import { nearest } from "../../shared/config/nearest.ts";
import { ConfigError, LandfallError } from "../../shared/errors.ts";

import type { Ledger } from "../../shared/ledger/ledger.ts";
import { version } from "../../shared/version.ts";
import type { Answer, Call, CliContext, Command } from "./command.ts";
import { commands } from "./commands/index.ts";
import { commandHelp, toolHelp } from "./help.ts";

/** What the shell gets: text for its two streams and the exit code. */
export interface Printed {
  readonly out: string;
  readonly err: string;
  readonly code: 0 | 1 | 2 | 3;
}

const commonOptions = {
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
  "detailed-exitcode": { type: "boolean" },
} as const;

/** Runs one command line in this process, prints, and returns the exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  const { out, err, code } = await runCli(argv, {
    env: undefined,
    clock: systemClock,
    progress: (line) => process.stderr.write(`${line}\n`),
    openLedger: () => openLedger(),
  });
  // A reader such as `head` may leave before the end.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
  process.stdout.write(out);
  process.stderr.write(err);
  return code;
}

/** Runs one command line; nothing is printed. */
export async function runCli(argv: readonly string[], context: CliContext): Promise<Printed> {
  const json = argv.includes("--json");
  const detailed = argv.includes("--detailed-exitcode");
  const words = argv.filter((word) => !word.startsWith("-"));
  const command = commandOf(words);
  if (command === undefined) {
    if (argv.includes("--version")) return { out: `landfall ${version}\n`, err: "", code: 0 };
    if (argv.includes("--help") || argv.includes("-h")) return { out: toolHelp(commands), err: "", code: 0 };
    return printed(unknownCommand(words), json, detailed);
  }
  const read = readCall(command, argv);
  if ("kind" in read) return printed(read, json, detailed);
  if (read.options.help === true) return { out: commandHelp(command), err: "", code: 0 };
  return printed(await guarded(() => command.run(read, context)), json, detailed);
}

function commandOf(words: readonly string[]): Command | undefined {
  const two = words.slice(0, 2).join(" ");
  return commands.find(({ name }) => name === two) ?? commands.find(({ name }) => name === words[0]);
}

function unknownCommand(words: readonly string[]): Answer {
  const [first] = words;
  if (first === undefined) return { kind: "usage", text: toolHelp(commands).trimEnd() };
  const names = commands.map(({ name }) => name);
  const below = names.filter((name) => name.startsWith(`${first} `));
  if (below.length > 0) {
    const meant = words[1] === undefined ? undefined : nearest(`${first} ${words[1]}`, below);
    const hint = meant === undefined ? "" : ` Did you mean \`landfall ${meant}\`?`;
    return { kind: "usage", text: `\`landfall ${first}\` needs one of: ${below.join(", ")}.${hint}` };
  }
  const meant = nearest(first, [...names, ...new Set(names.map((name) => name.split(" ")[0] ?? name))]);
  const hint =
    meant === undefined ? "`landfall --help` lists the commands." : `Did you mean \`landfall ${meant}\`?`;
  return { kind: "usage", text: `There is no command \`${first}\`. ${hint}` };
}

function readCall(command: Command, argv: readonly string[]) {
  const own = Object.fromEntries(
    Object.entries(command.options).map(([name, { type, many = false }]) => [name, { type, multiple: many }]),
  );
  const options = { ...commonOptions, ...own };
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      options,
      allowPositionals: true,
      strict: true,
    });
    const rest = positionals.slice(command.name.split(" ").length);
    if (rest.length > command.maxArguments) {
      return usage(command, `\`${rest[command.maxArguments]}\` is one argument too many.`);
    }
    return { arguments: rest, options: values as Call["options"] };
  } catch (error) {
    return usage(command, wrongOption(error, argv, Object.keys(options)));
  }
}

function wrongOption(error: unknown, argv: readonly string[], known: readonly string[]): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  const unknown = argv.find(
    (word) => /^--./.test(word) && !known.includes(word.slice(2).split("=")[0] ?? ""),
  );
  if (code !== "ERR_PARSE_ARGS_UNKNOWN_OPTION" || unknown === undefined) {
    return error instanceof Error ? `${error.message.split(". ")[0]}.` : "The options cannot be read.";
  }
  const meant = nearest(unknown.slice(2), known);
  return `There is no option \`${unknown}\`.${meant === undefined ? "" : ` Did you mean \`--${meant}\`?`}`;
}

function usage(command: Command, problem: string): Answer {
  return { kind: "usage", text: `${problem}\nUsage: ${usageLine(command)}` };
}

function usageLine({ name, parameters }: Command): string {
  return `landfall ${name}${parameters === "" ? "" : ` ${parameters}`}`;
}

/** What can go wrong with what a command reads is an answer; anything else is a defect and keeps its stack. */
async function guarded(act: () => Promise<Answer>): Promise<Answer> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof ConfigError) {
      return { kind: "failed", text: error.problems.join("\n"), json: { problems: error.problems } };
    }
    if (error instanceof LandfallError)
      return { kind: "failed", text: error.message, json: { code: error.code } };
    throw error;
  }
}

function printed(answer: Answer, json: boolean, detailed: boolean): Printed {
  switch (answer.kind) {
    case "done":
    case "nothing": {
      const out = json ? JSON.stringify(answer.json, undefined, 2) : answer.text;
      return { out: `${out}\n`, err: "", code: detailed && answer.kind === "nothing" ? 3 : 0 };
    }
    case "failed":
    case "usage": {
      const code = answer.kind === "usage" ? 2 : 1;
      if (!json) return { out: "", err: `${answer.text}\n`, code };
      const error = { kind: answer.kind, message: answer.text, ...answer.json };
      return { out: `${JSON.stringify({ error }, undefined, 2)}\n`, err: "", code };
    }
    default:
      return answer satisfies never;
  }
}

/** Opens the ledger of the environment. It is only read; one that is not there is not made. */
async function openLedger(): Promise<Ledger> {
  const { ledger } = environment();
  if (ledger.kind === "memory") {
    throw new ConfigError([
      "LANDFALL_LEDGER is `memory:`, a ledger that lives and ends with the process that writes it; set it to `file:PATH`",
    ]);
  }
  if (ledger.kind === "firestore") {
    const { firestoreLedger } = await import("../../shared/ledger/firestore.ts");
    return firestoreLedger({ ...ledger, clock: systemClock });
  }
  if (!existsSync(ledger.path)) {
    throw new ConfigError([
      `There is no ledger at ${ledger.path}. Start Landfall here (\`npm start\`) and push an image, ` +
        "or set LANDFALL_LEDGER=file:PATH to the ledger that a running Landfall writes.",
    ]);
  }
  const { embeddedLedger } = await import("../../shared/ledger/embedded.ts");
  return embeddedLedger(ledger.path, systemClock);
}
