import { ConfigError } from "../errors.ts";
import type { Secret } from "../secret.ts";

/** Where templates get their values from. */
export interface TemplateSources {
  /** A variable of the environment. */
  readonly variable: (name: string) => string | undefined;
  /** The text of a file as it is now. @throws Error with a `code` such as `ENOENT` when it cannot be read */
  readonly file: (path: string) => string;
}

const part = /\$\$\{|\$\{(file:)?([^{}]*)\}/g;
const variableName = /^[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * A template with its values: `${NAME}` is a variable, `${file:/path}` a file's text without its last line end,
 * `$${` stands for `${` itself.
 * @param key where the template stands in the configuration, for the error
 * @returns a `Secret`: nothing is read before it is called, and files are read again at each call; the variables of a
 * process do not change
 */
export function secretOf(template: string, key: string, sources: TemplateSources): Secret {
  const read = () =>
    template.replace(part, (found: string, file: string | undefined, name: string | undefined) => {
      if (found === "$${") return "${";
      return file === undefined ? variable(name ?? "", key, sources) : contents(name ?? "", key, sources);
    });
  if (template.includes("${file:")) return read;
  let known: string | undefined;
  return () => {
    known ??= read();
    return known;
  };
}

/** What is wrong with the form of a template; nothing is resolved, and the answer holds no part of the text. */
export function templateProblem(text: string): string | undefined {
  if (text.replace(part, "").includes("${")) {
    return "has a `${` that is not closed; write `${NAME}` or `${file:/path}`, or `$${` for the characters themselves";
  }
  for (const [found, file, name] of text.matchAll(part)) {
    if (found === "$${") continue;
    if (file === undefined && !variableName.test(name ?? "")) {
      return "has a `${…}` that names no variable; write `${NAME}` or `${file:/path}`";
    }
    if (file !== undefined && name?.trim() === "") return "has a `${file:…}` that names no file";
  }
  return undefined;
}

function variable(name: string, key: string, sources: TemplateSources): string {
  const value = sources.variable(name);
  if (value === undefined) throw new ConfigError([`${key}: the environment variable ${name} is not set`]);
  if (value === "") throw new ConfigError([`${key}: the environment variable ${name} is empty`]);
  return value;
}

function contents(path: string, key: string, sources: TemplateSources): string {
  let text: string;
  try {
    text = sources.file(path);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? ` (${String(error.code)})` : "";
    throw new ConfigError([`${key}: the file ${path} cannot be read${code}`]);
  }
  const value = text.replace(/\r?\n$/, "");
  if (value === "") throw new ConfigError([`${key}: the file ${path} is empty`]);
  return value;
}
