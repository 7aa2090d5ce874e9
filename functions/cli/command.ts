import type { Clock } from "../../shared/clock.ts";
import type { Environment } from "../../shared/config/load.ts";
import type { Ledger } from "../../shared/ledger/ledger.ts";

/** An option beyond those that every command has. */
interface CommandOption {
  readonly type: "string" | "boolean";
  /** What stands for the value in the help, e.g. `N`. */
  readonly value?: string;
  readonly about: string;
  /** It may be repeated: its value is a list. */
  readonly many?: true;
}

export interface Call {
  readonly arguments: readonly string[];
  readonly options: Readonly<Record<string, string | boolean | readonly string[] | undefined>>;
}

/**
 * What a command came to; it prints nothing by itself. `text` is for a person, `json` the same as data.
 * `nothing`: all well, and there was nothing to do or to show.
 */
export type Answer =
  | { readonly kind: "done" | "nothing"; readonly text: string; readonly json: unknown }
  /** `usage`: the command line is at fault. */
  | {
      readonly kind: "failed" | "usage";
      readonly text: string;
      readonly json?: Readonly<Record<string, unknown>>;
    };

/** Everything a command may touch. */
export interface CliContext {
  /** Variables; the process's own when `undefined`. */
  readonly env: Environment | undefined;
  readonly clock: Clock;
  /** Tells at once how a command that takes long is getting on: one line, apart from its answer. */
  readonly progress: (line: string) => void;
  /**
   * The ledger that `LANDFALL_LEDGER` names; whoever opens it closes it.
   * @throws ConfigError when there is none, saying what to do
   */
  readonly openLedger: () => Promise<Ledger>;
}

export interface Command {
  /** One or two words, e.g. `config check`. */
  readonly name: string;
  /** One line in the list of commands. */
  readonly summary: string;
  /** After the name, e.g. `[FILE]`. */
  readonly parameters: string;
  readonly maxArguments: number;
  readonly options: Readonly<Record<string, CommandOption>>;
  /** Paragraphs that teach. */
  readonly help: string;
  /** Command lines without `landfall`, each with what it shows. */
  readonly examples: readonly (readonly [line: string, about: string])[];
  run(call: Call, context: CliContext): Promise<Answer>;
}

/** Reads an option that is a whole number from 1. */
export function countOf(call: Call, name: string, otherwise: number): number | Answer {
  const text = call.options[name];
  if (text === undefined) return otherwise;
  if (typeof text === "string" && /^[1-9]\d{0,5}$/.test(text)) return Number(text);
  return { kind: "usage", text: `--${name} needs a whole number from 1, e.g. --${name} ${otherwise}` };
}

/** Reads an option that may be repeated. */
export function listOf({ options }: Call, name: string): readonly string[] {
  const values = options[name];
  return Array.isArray(values) ? values : [];
}
