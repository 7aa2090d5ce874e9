/** One way in that a 401 offers, e.g. `Bearer realm="https://auth.example/token",service="reg"`. */
export interface Challenge {
  /** In lower case. */
  readonly scheme: string;
  /** Names in lower case, values unquoted; the first of a repeated name. */
  readonly parameters: Readonly<Record<string, string>>;
}

const token = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const parameter = /([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))/y;
const token68 = /[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))/y;
const separator = /[ \t,]+/y;

/**
 * Reads `WWW-Authenticate` headers as RFC 9110 section 11.6.1 writes them: a header may hold several challenges, and
 * quoted values may hold commas. What cannot be read ends its header; the challenges before it stay.
 */
export function parseChallenges(headers: readonly string[]): readonly Challenge[] {
  return headers.flatMap(parseHeader);
}

function parseHeader(header: string): readonly Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const match = pattern.exec(header);
    if (match === null) return undefined;
    at = pattern.lastIndex;
    return match;
  };

  while (at < header.length) {
    take(separator);
    const current = challenges.at(-1);
    const pair = current === undefined ? undefined : take(parameter);
    if (current !== undefined && pair !== undefined) {
      const [, name = "", quoted, bare = ""] = pair;
      current.parameters[name.toLowerCase()] ??= quoted?.replaceAll(/\\(.)/g, "$1") ?? bare;
      continue;
    }
    const scheme = take(token);
    if (scheme === undefined) break;
    challenges.push({ scheme: scheme[0].toLowerCase(), parameters: Object.create(null) });
    if (take(/[ \t]+/y) !== undefined) take(token68);
  }
  return challenges;
}
