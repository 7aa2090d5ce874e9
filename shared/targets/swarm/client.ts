import { systemClock } from "../../clock.ts";
import { ConfigError, messageOf, TargetDeniedError, TargetUnavailableError } from "../../errors.ts";
import {
  type HttpAnswer,
  type HttpClient,
  HttpError,
  type HttpOptions,
  type HttpRequest,
  headerOf,
  httpClient,
  retryAfterMs,
} from "../../http.ts";
import { elementReader } from "../../json-elements.ts";
import type { Secret } from "../../secret.ts";

export interface EngineConnection {
  /** Name of the target, for messages. */
  readonly target: string;
  /** `unix:///path` or `tcp://host:port`. */
  readonly host: string;
  readonly tls?: { readonly ca: Secret; readonly cert: Secret; readonly key: Secret };
  /** Default `httpClient`. */
  readonly connect?: (options: HttpOptions) => HttpClient;
}

export interface EngineClient {
  /**
   * One call in the negotiated version.
   * @param path without version, e.g. `/services/web`
   * @throws HttpError when this very call got no answer; TargetUnavailableError or TargetDeniedError when it was not sent
   */
  call(method: "GET" | "POST", path: string, write?: EngineWrite): Promise<HttpAnswer>;
  /** The JSON of a GET; `undefined` when the engine says that the service is not there. */
  read(path: string): Promise<unknown>;
  /** Takes the elements of a list one by one, as they arrive: a large swarm's answer is never in memory as a whole. */
  list(path: string, take: (element: unknown) => void): Promise<void>;
  /** What an answer's failure means when nothing was done; `undefined` for one that needs a closer look. */
  refusal(answer: HttpAnswer): TargetDeniedError | TargetUnavailableError | undefined;
  close(): Promise<void>;
}

type EngineWrite = Pick<HttpRequest, "headers"> & { readonly body: string };
type Sent = Pick<HttpRequest, "headers" | "body" | "read">;

/** The newest version of the API that this adapter was written for; the engine's own one if it is older. */
export const newestVersion = "1.47";

const deadlineMs = 10_000;
const maxBytes = 128 * 1024 * 1024;
/** A list of 10,000 services is about 30 MB; it is never in memory as a whole. */
const maxListBytes = 1024 * 1024 * 1024;
const listDeadlineMs = 60_000;
const maxWords = 300;

export function engineClient(connection: EngineConnection): EngineClient {
  const { target, host, tls, connect = httpClient } = connection;
  const origin = host.startsWith("unix://")
    ? "http://docker"
    : host.replace(/^tcp:/, tls === undefined ? "http:" : "https:");
  let current: { readonly pem: string; readonly http: HttpClient } | undefined;
  let negotiated: Promise<string> | undefined;

  /** Certificates are read at each call, so that rotated ones act without a restart; old connections idle out. */
  function http(): HttpClient {
    const material = tls && { ca: tls.ca(), cert: tls.cert(), key: tls.key() };
    const pem = JSON.stringify(material ?? {});
    if (current?.pem !== pem) {
      const socket = host.startsWith("unix://") ? { socketPath: host.slice("unix://".length) } : {};
      current = { pem, http: connect({ ...socket, ...material }) };
    }
    return current.http;
  }

  async function send(method: "GET" | "POST", path: string, sent: Sent = {}): Promise<HttpAnswer> {
    try {
      return await http().request({
        method,
        url: `${origin}${path}`,
        ...sent,
        headers: { accept: "application/json", ...sent.headers },
        ...(sent.read === undefined
          ? { deadlineMs, maxBytes }
          : { deadlineMs: listDeadlineMs, beginsWithinMs: deadlineMs, maxBytes: maxListBytes }),
      });
    } catch (error) {
      if (error instanceof ConfigError) {
        throw new TargetDeniedError(`${target}: ${error.message}`, { cause: error });
      }
      if (isTlsTrouble(error)) {
        throw new TargetDeniedError(
          `${target}: TLS with the engine fails (${messageOf(error)}): check \`tls.ca\`, \`tls.cert\` and \`tls.key\``,
          { cause: error },
        );
      }
      throw error;
    }
  }

  async function ping(): Promise<string> {
    const answer = await send("GET", "/_ping").catch((error: unknown) => {
      // TLS 1.3 lets the client speak before its certificate was looked at: the engine hangs up without a word.
      const hungUp = tls !== undefined && error instanceof HttpError && error.kind === "broken";
      const advice = "the engine hung up, as it does when it does not trust `tls.cert`";
      throw unavailable(hungUp ? `${target}: ${advice}` : target, error);
    });
    const offered = headerOf(answer, "api-version");
    if (answer.status === 200 && offered !== undefined && /^\d+\.\d+$/.test(offered)) {
      return compareVersions(offered, newestVersion) < 0 ? offered : newestVersion;
    }
    const denied = denial(target, answer);
    if (denied !== undefined) throw denied;
    throw unusable(
      `${target}: no Docker engine answers at \`host\`: ${answer.status}${wordsOf(answer)}`,
      answer,
    );
  }

  async function version(): Promise<string> {
    negotiated ??= ping();
    try {
      return await negotiated;
    } catch (error) {
      negotiated = undefined;
      throw error;
    }
  }

  async function call(method: "GET" | "POST", path: string, sent?: Sent): Promise<HttpAnswer> {
    const asked = await version();
    const answer = await send(method, `/v${asked}${path}`, sent);
    if (!isVersionRefusal(answer)) return answer;
    // The engine was replaced by another one since. It looks at the version before anything else: nothing was done.
    negotiated = undefined;
    const now = await version();
    return now === asked ? answer : send(method, `/v${now}${path}`, sent);
  }

  /** The answer to a GET that is 200; `undefined` when the engine says that the service is not there. */
  async function found(path: string, sent?: Sent): Promise<HttpAnswer | undefined> {
    const answer = await call("GET", path, sent).catch((error: unknown) => {
      throw unavailable(target, error);
    });
    if (answer.status === 200) return answer;
    if (isServiceMissing(answer)) return undefined;
    throw (
      refusal(answer) ?? unusable(`${target}: the engine answered ${answer.status}${wordsOf(answer)}`, answer)
    );
  }

  function refusal(answer: HttpAnswer): TargetDeniedError | TargetUnavailableError | undefined {
    const denied = denial(target, answer);
    if (denied !== undefined) return denied;
    // 503: this node is no manager, or the swarm has none to lead it. 429: something in front of it limits calls.
    const turnedAway = answer.status === 503 || answer.status === 429;
    if (!turnedAway && !isVersionRefusal(answer) && !isForeign(answer)) return undefined;
    return unusable(`${target}: the engine answered ${answer.status}${wordsOf(answer)}`, answer);
  }

  return {
    call,
    refusal,
    async read(path) {
      const answer = await found(path);
      return answer === undefined ? undefined : jsonOf(target, answer);
    },
    async list(path, take) {
      const elements = elementReader(take);
      await found(path, {
        read: (piece) => {
          elements.read(piece);
          return "more";
        },
      });
      try {
        elements.end();
      } catch (error) {
        throw new TargetUnavailableError(`${target}: the engine's answer is no list`, { cause: error });
      }
    },
    close: async () => {
      await current?.http.close();
    },
  };
}

/** Compares `major.minor` as two integers: 1.9 is older than 1.41, and 1.40 is not 1.4. */
export function compareVersions(left: string, right: string): number {
  const [major = 0, minor = 0] = left.split(".").map(Number);
  const [otherMajor = 0, otherMinor = 0] = right.split(".").map(Number);
  return major - otherMajor || minor - otherMinor;
}

/** `: ` and what the engine said, in one line; empty when it said nothing. */
export function wordsOf(answer: HttpAnswer): string {
  const text = messageIn(answer).replace(/\s+/g, " ").trim();
  if (text === "") return "";
  return `: ${text.length > maxWords ? `${text.slice(0, maxWords)}…` : text}`;
}

/** Every answer of the engine to an update is an object; a page of something in between is none. */
export function isJsonObject(answer: HttpAnswer): boolean {
  try {
    const parsed: unknown = JSON.parse(answer.body.toString("utf8"));
    return typeof parsed === "object" && parsed !== null;
  } catch {
    return false;
  }
}

/** A service that is gone has the engine's own words; a 404 without them is another server's. */
export function isServiceMissing(answer: HttpAnswer): boolean {
  return answer.status === 404 && /service .*not found|no such service/i.test(messageIn(answer));
}

/**
 * Reads the engine's JSON so that writing it gives the same text: a number that JavaScript cannot hold, such as
 * the limit 18446744073709551615, is kept as it was written.
 */
export function parseExact(text: string): unknown {
  if (!/[:,[]\s*-?\d{16}/.test(text)) return JSON.parse(text);
  const exact = JSON as unknown as ExactJson;
  return exact.parse(text, (_key, value, { source }) =>
    typeof value === "number" && !Number.isSafeInteger(value) && source !== undefined
      ? exact.rawJSON(source)
      : value,
  );
}

/** https://github.com/tc39/proposal-json-parse-with-source, which TypeScript's library does not have yet. */
interface ExactJson {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): unknown;
  rawJSON(text: string): unknown;
}

/** `{"message": "…"}` nearly always; some edges answer plain text. */
function messageIn(answer: HttpAnswer): string {
  const text = answer.body.toString("utf8", 0, 64 * 1024);
  try {
    const parsed: unknown = JSON.parse(text);
    const named = typeof parsed === "object" && parsed !== null && "message" in parsed;
    return named && typeof parsed.message === "string" ? parsed.message : "";
  } catch {
    return text.trimStart().startsWith("<") ? "" : text;
  }
}

function isVersionRefusal(answer: HttpAnswer): boolean {
  return answer.status === 400 && /client version \S+ is too (?:new|old)/i.test(messageIn(answer));
}

/** A redirect, or a 404 that is not about a service: there is something else than the engine's API at that address. */
function isForeign(answer: HttpAnswer): boolean {
  return (
    (answer.status >= 300 && answer.status < 400) || (answer.status === 404 && !isServiceMissing(answer))
  );
}

/** The engine itself has no roles: a proxy in front of it allows less than is needed. */
function denial(target: string, answer: HttpAnswer): TargetDeniedError | undefined {
  if (answer.status !== 401 && answer.status !== 403) return undefined;
  return new TargetDeniedError(
    `${target}: what is in front of the engine refused the call (${answer.status})${wordsOf(answer)}: ` +
      "allow /_ping, /services, /tasks, /nodes and POST /services/{id}/update",
  );
}

/** OpenSSL's own words: certificate or key cannot be read or do not fit, or the engine sent an alert. */
function isTlsTrouble(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ("code" in at && typeof at.code === "string" && /^ERR_(?:OSSL|SSL)_/.test(at.code)) return true;
  }
  return false;
}

function jsonOf(target: string, answer: HttpAnswer): unknown {
  try {
    return parseExact(answer.body.toString("utf8"));
  } catch (error) {
    throw new TargetUnavailableError(`${target}: the engine's answer is no JSON`, { cause: error });
  }
}

function unusable(message: string, answer: HttpAnswer): TargetUnavailableError {
  return new TargetUnavailableError(message, { retryAfterMs: retryAfterMs(answer, systemClock.now()) });
}

function unavailable(target: string, error: unknown): unknown {
  if (!(error instanceof HttpError)) return error;
  return new TargetUnavailableError(`${target}: ${error.message}`, { cause: error });
}
