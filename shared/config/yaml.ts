import { type ErrorCode, isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import { ConfigError } from "../errors.ts";
import type { Path } from "./path.ts";

/** A YAML file as plain values, with the way back to its lines. */
export interface YamlFile {
  readonly value: unknown;
  /** Line, from 1, of a key or item; of the nearest thing around it when it is not there. */
  lineOf(path: Path): number | undefined;
}

const maxFileCharacters = 1024 * 1024;
const maxAliases = 100;

/** The parser's own messages quote the file, which may hold secrets: these say the same without it. */
const sentences: Partial<Record<ErrorCode, string>> = {
  BAD_ALIAS: "`*` starts an alias here; put text that starts with `*` in quotes",
  BAD_DQ_ESCAPE: "there is an unknown escape after `\\`; use single quotes, or `\\\\` for one backslash",
  BAD_INDENT: "the indentation does not fit the lines around it, or a bracket above is not closed",
  BAD_SCALAR_START: "text cannot start with this character; put it in quotes",
  BLOCK_AS_IMPLICIT_KEY: "there is a `: ` where a value is already given; put the text in quotes",
  DUPLICATE_KEY: "this key stands twice in the same mapping; keep one",
  MISSING_CHAR: "a closing quote, a bracket, a comma or a colon is missing",
  MULTIPLE_DOCS: "a second document starts here; the configuration is one document",
  NON_STRING_KEY: "a key must be text; put it in quotes",
  RESOURCE_EXHAUSTION: "it is nested too deeply",
  TAB_AS_INDENT: "a tab indents this line; use spaces",
  TAG_RESOLVE_FAILED: "`!` starts a type that is not known here; put text that starts with `!` in quotes",
};

/**
 * Reads one YAML 1.2 document: no duplicate keys, text keys only, at most 100 uses of aliases, 1 MiB.
 * @throws ConfigError with line and column of everything that is wrong, never with text of the file
 */
export function readYaml(text: string): YamlFile {
  if (text.length > maxFileCharacters) throw new ConfigError(["the file is longer than 1 MiB"]);
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    stringKeys: true,
    uniqueKeys: true,
  });
  const wrong = [...document.errors, ...document.warnings];
  if (wrong.length > 0) {
    throw new ConfigError(
      wrong.map(({ code, pos }) => {
        const { line, col } = lines.linePos(pos[0]);
        return `line ${line}, column ${col}: ${sentences[code] ?? "this is not valid YAML"}`;
      }),
    );
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: maxAliases });
    // Refuses what contains itself: it has no end for anyone who walks it.
    JSON.stringify(value);
  } catch {
    throw new ConfigError([
      `an alias (\`*name\`) names no anchor before it or stands within its own, or aliases are used more than ${maxAliases} times`,
    ]);
  }

  return {
    value,
    lineOf(path) {
      let node: unknown = document.contents;
      let offset: number | undefined;
      for (const part of path) {
        if (isMap(node)) {
          const pair = node.items.find(({ key }) => isScalar(key) && key.value === part);
          if (pair === undefined) break;
          offset = isScalar(pair.key) ? (pair.key.range?.[0] ?? offset) : offset;
          node = pair.value;
        } else if (isSeq(node) && typeof part === "number") {
          node = node.items[part];
          offset = rangeStart(node) ?? offset;
        } else break;
      }
      return offset === undefined ? undefined : lines.linePos(offset).line;
    },
  };
}

function rangeStart(node: unknown): number | undefined {
  if (typeof node !== "object" || node === null || !("range" in node) || !Array.isArray(node.range))
    return undefined;
  const [start]: unknown[] = node.range;
  return typeof start === "number" ? start : undefined;
}
