import type { Commit } from "../../domain/commit.ts";
import { HistoryDeniedError, HistoryUnavailableError } from "../../errors.ts";
import { type HttpAnswer, HttpError, type HttpRequest, headerOf, retryAfterMs } from "../../http.ts";
import type { GitHostOptions } from "../host.ts";
import { type Capabilities, readAdvertisement, readTip } from "./advertisement.ts";
import { AnswerError, type Beyond, beyondReader } from "./answer.ts";
import { delimiterPacket, flushPacket, packet } from "./pkt-line.ts";

/** A repository behind its server, as found by asking. */
interface Repository extends Capabilities {
  /** Where it is, after redirects, e.g. `https://git.acme.io/acme/web.git`. */
  readonly address: string;
  /** When that was asked, on the monotonic clock. */
  readonly askedAt: number;
}

/** Git's smart HTTP protocol, version 2 (https://git-scm.com/docs/gitprotocol-v2): no clone, nothing is kept. */
export interface GitClient {
  /** @param until when all of it must be over, on the monotonic clock */
  open(url: string, until: number): Promise<Repository>;
  /** @throws HistoryDeniedError when there is no such branch */
  tip(repository: Repository, branch: string, until: number): Promise<Commit>;
  /** What `want` descends from and `have` does not; see `Beyond`. */
  beyond(repository: Repository, question: Question, until: number): Promise<Beyond>;
}

interface Question {
  readonly want: Commit;
  readonly have: Commit;
  readonly readUpTo: number;
}

/** What is sent beyond the URL: everything of one call. */
interface Call {
  readonly url: string;
  readonly what: string;
  readonly body?: string;
  readonly read?: HttpRequest["read"];
  readonly maxBytes: number;
  readonly until: number;
}

const believedForMs = 10 * 60_000;
/** A server of an older version lists every branch and tag. */
const maxAdvertisementBytes = 8 * 1024 * 1024;
const maxTipBytes = 1024 * 1024;
const maxPackBytes = 64 * 1024 * 1024;
const maxRedirects = 3;
const waitAfter429Ms = 60_000;
const defaultUser = "git";

export function gitClient(options: GitHostOptions): GitClient {
  const { clock, client } = options;
  const base = new URL(`${options.base.replace(/\/+$/, "")}/`);
  const opened = new Map<string, Repository>();

  const send = async (call: Call): Promise<HttpAnswer> => {
    const deadlineMs = Math.ceil(call.until - clock.monotonic());
    if (deadlineMs <= 0) throw new HistoryUnavailableError(`${base.host}: ${call.what}: the time is up`);
    try {
      return await client.request({
        method: call.body === undefined ? "GET" : "POST",
        url: call.url,
        headers: { ...headersOf(options), ...(call.body === undefined ? {} : bodyHeaders) },
        ...(call.body === undefined ? {} : { body: call.body }),
        ...(call.read === undefined ? {} : { read: call.read }),
        maxBytes: call.maxBytes,
        deadlineMs,
      });
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      throw new HistoryUnavailableError(`${base.host}: ${call.what}: ${error.message}`, { cause: error });
    }
  };

  const judge = (answer: HttpAnswer, what: string): HttpAnswer => {
    const { status } = answer;
    if (status === 200) return answer;
    const message = `${base.host} answered ${status} to ${what}`;
    const waitMs = retryAfterMs(answer, clock.now());
    if (status === 401 || (status === 403 && waitMs === undefined)) {
      throw new HistoryDeniedError(`${message}: check \`token\` and \`username\`, and what they may read`);
    }
    if (status === 404 || status === 410) {
      throw new HistoryDeniedError(`${message}: no repository is there, or the token may not see it`);
    }
    throw new HistoryUnavailableError(message, {
      retryAfterMs: waitMs ?? (status === 429 ? waitAfter429Ms : undefined),
    });
  };

  /** Repositories are renamed, and some hosts want `.git` at the end: what stays on the same origin is followed. */
  const advertisement = async (first: string, what: string, until: number) => {
    let address = first;
    for (let hop = 0; hop <= maxRedirects; hop += 1) {
      const url = `${address}/info/refs?service=git-upload-pack`;
      const answer = await send({ url, what, maxBytes: maxAdvertisementBytes, until });
      if (![301, 302, 303, 307, 308].includes(answer.status)) return { address, answer: judge(answer, what) };
      const next = URL.parse(headerOf(answer, "location") ?? "", url);
      if (next?.origin !== base.origin || !next.pathname.endsWith("/info/refs")) {
        throw new HistoryDeniedError(
          `${base.host} redirects ${what} elsewhere: mend the repository's \`url\`, or check what it asks for`,
        );
      }
      address = `${next.origin}${next.pathname.slice(0, -"/info/refs".length)}`;
    }
    throw new HistoryUnavailableError(`${base.host} redirects ${what} more than ${maxRedirects} times`);
  };

  const ask = async (repository: Repository, what: string, call: Omit<Call, "url" | "what">) =>
    judge(await send({ ...call, what, url: `${repository.address}/git-upload-pack` }), what);

  const garbage = (what: string, why: string, cause?: unknown) =>
    new HistoryUnavailableError(`${base.host}: ${what}: ${why}`, { cause });

  return {
    async open(url, until) {
      const known = opened.get(url);
      if (known !== undefined && clock.monotonic() - known.askedAt < believedForMs) return known;
      const what = `the first question about ${pathOf(url)}`;
      const askedAt = clock.monotonic();
      const { address, answer } = await advertisement(`${base.href.slice(0, -1)}${pathOf(url)}`, what, until);
      const capabilities = readAdvertisement(answer.body);
      if (capabilities === undefined) throw garbage(what, "no answer of a git server");
      if (capabilities === "other-version") {
        throw new HistoryDeniedError(
          `${base.host} does not speak version 2 of git's protocol, or serves in a format unknown here: it needs git 2.18 or newer, and a web server that passes the header Git-Protocol on`,
        );
      }
      const repository = { ...capabilities, address, askedAt };
      opened.set(url, repository);
      return repository;
    },

    async tip(repository, branch, until) {
      const what = `the question for the tip of ${branch}`;
      const body = command("ls-refs", repository, [`ref-prefix refs/heads/${branch}`]);
      const answer = await ask(repository, what, { body, maxBytes: maxTipBytes, until });
      const tip = readTip(answer.body, branch);
      if (tip === "broken") throw garbage(what, "no answer of a git server");
      if (tip === undefined) {
        throw new HistoryDeniedError(`${base.host} has no branch ${branch} in ${repository.address}`);
      }
      return tip;
    },

    async beyond(repository, { want, have, readUpTo }, until) {
      const what = `the question whether ${want.slice(0, 12)} is in the history of ${have.slice(0, 12)}`;
      const reader = beyondReader(repository.objectFormat, want, have, readUpTo);
      const body = command("fetch", repository, [
        "no-progress",
        "ofs-delta",
        ...(repository.filter ? ["filter tree:0"] : []),
        `want ${want}`,
        `have ${have}`,
        "done",
      ]);
      await ask(repository, what, { body, read: reader.push, maxBytes: maxPackBytes, until });
      try {
        return reader.result();
      } catch (error) {
        if (!(error instanceof AnswerError)) throw error;
        throw garbage(what, error.message, error);
      }
    },
  };
}

const bodyHeaders = {
  "content-type": "application/x-git-upload-pack-request",
  accept: "application/x-git-upload-pack-result",
};

function headersOf({ token, username }: GitHostOptions): Record<string, string> {
  const version = { "git-protocol": "version=2" };
  if (token === undefined) return version;
  const account = `${username?.() ?? defaultUser}:${token().trim()}`;
  return { ...version, authorization: `Basic ${Buffer.from(account).toString("base64")}` };
}

function command(name: string, { objectFormat }: Capabilities, args: readonly string[]): string {
  return [
    packet(`command=${name}`),
    packet(`object-format=${objectFormat}`),
    delimiterPacket,
    ...args.map(packet),
    flushPacket,
  ].join("");
}

/** The repository's path as its address has it, without a slash at the end. */
function pathOf(url: string): string {
  const path = URL.parse(url)?.pathname.replace(/\/+$/, "");
  if (path === undefined || path === "") {
    throw new HistoryDeniedError(
      "the address of a git repository ends in no repository's path: mend its `url`",
    );
  }
  return path;
}
