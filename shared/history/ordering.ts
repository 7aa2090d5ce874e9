import type { Clock } from "../clock.ts";
import type { Commit } from "../domain/commit.ts";
import { HistoryUnavailableError } from "../errors.ts";
import { Lru } from "../lru.ts";
import type { CommitHistory, GitBranch, GitHost, Order, Relation } from "./commit-history.ts";
import type { GitHosts, NamedHost } from "./host.ts";

export interface OrderingOptions {
  readonly clock: Clock;
  /** From 0 to 1, as `Math.random`: repetitions are spread by it. */
  readonly random: () => number;
  /** A decision with all its repetitions is over within this, ms; default 30 s. */
  readonly decisionMs?: number;
}

/** An answer of a host, and until when it is believed, on the monotonic clock. */
interface Remembered {
  readonly answer: Relation | OnBranch;
  readonly until: number;
}

type OnBranch = Awaited<ReturnType<GitHost["onBranch"]>>;

const defaultDecisionMs = 30_000;
const maxTries = 4;
const firstPauseMs = 500;
const rememberedAnswers = 10_000;
/** A push may reach the server that is asked a little later. */
const unknownForMs = 30_000;
/** A merge may bring a commit onto the branch, and a forced push off it. */
const branchForMs = 60_000;

/**
 * The order of commits as git hosts tell it. What two commits are to each other never changes, and is remembered;
 * other answers for a short time, and failures never. Identical questions at the same time are asked once. A host that
 * asks to be left alone is.
 */
export function commitHistory(hosts: GitHosts, options: OrderingOptions): CommitHistory {
  const { clock, random, decisionMs = defaultDecisionMs } = options;
  const remembered = new Lru<string, Remembered>(rememberedAnswers);
  const asking = new Map<string, Promise<Relation | OnBranch>>();
  const closedUntil = new Map<string, number>();

  const recall = (key: string) => {
    const known = remembered.get(key);
    return known !== undefined && clock.monotonic() < known.until ? known.answer : undefined;
  };

  /** Asks once, and remembers what is answered, should nobody wait for it any more. */
  const once = async <Answer extends Relation | OnBranch>(
    host: NamedHost,
    key: string,
    call: (host: GitHost) => Promise<Answer>,
  ): Promise<Answer> => {
    try {
      const answer = await call(await host.open());
      remembered.set(key, { answer, until: clock.monotonic() + believedMs(answer) });
      return answer;
    } catch (error) {
      const waitMs = error instanceof HistoryUnavailableError ? error.retryAfterMs : undefined;
      if (waitMs !== undefined) closedUntil.set(host.name, clock.monotonic() + waitMs);
      throw error;
    }
  };

  /** Waits no longer than the decision may take: an answer that comes later is for who asks next. */
  const inTime = async <Answer>(answer: Promise<Answer>, until: number, host: NamedHost): Promise<Answer> => {
    const over = new AbortController();
    try {
      const late = clock.sleep(until - clock.monotonic(), over.signal).then(() => "late" as const);
      const first = await Promise.race([answer, late]);
      if (first !== "late") return first;
      throw new HistoryUnavailableError(`${host.name} did not tell the order of two commits in time`);
    } finally {
      over.abort();
    }
  };

  /** Waits until the host may be asked again, or throws when that is after `until`. */
  const whenOpen = async (host: NamedHost, until: number) => {
    const now = clock.monotonic();
    const waitMs = (closedUntil.get(host.name) ?? now) - now;
    if (waitMs <= 0) return;
    if (now + waitMs >= until) {
      throw new HistoryUnavailableError(
        `${host.name} asked to be left alone for another ${Math.ceil(waitMs / 1_000)} s`,
        { retryAfterMs: waitMs },
      );
    }
    await clock.sleep(waitMs);
  };

  /** Asks until there is an answer, or no more use in asking. */
  const insist = async <Answer extends Relation | OnBranch>(
    host: NamedHost,
    key: string,
    until: number,
    call: (host: GitHost) => Promise<Answer>,
  ): Promise<Answer> => {
    for (let tries = 1; ; tries += 1) {
      await whenOpen(host, until);
      try {
        return await inTime(once(host, key, call), until, host);
      } catch (error) {
        if (!(error instanceof HistoryUnavailableError) || tries === maxTries) throw error;
        if (error.retryAfterMs !== undefined) continue;
        const pauseMs = firstPauseMs * 2 ** (tries - 1) * (0.5 + random());
        if (clock.monotonic() + pauseMs >= until) throw error;
        await clock.sleep(pauseMs);
      }
    }
  };

  /** From memory, or with whoever asks just that already. */
  const ask = async <Answer extends Relation | OnBranch>(
    url: string,
    key: string,
    until: number,
    call: (host: GitHost) => Promise<Answer>,
  ): Promise<Answer> => {
    // A key is of one kind of question, and so are the answers under it.
    const known = (recall(key) ?? asking.get(key)) as Answer | Promise<Answer> | undefined;
    if (known !== undefined) return known;
    const answer = insist(hosts.of(url), key, until, call).finally(() => asking.delete(key));
    asking.set(key, answer);
    return answer;
  };

  const relation = async (url: string, from: Commit, to: Commit, until: number): Promise<Relation> => {
    const keyOf = (...commits: readonly Commit[]) => `relation ${commits.join(" ")} ${url}`;
    const reverse = recall(keyOf(to, from)) as Relation | undefined;
    const known = reverse === undefined ? undefined : reversed(reverse);
    return known ?? ask(url, keyOf(from, to), until, (host) => host.relation(url, from, to));
  };

  const onBranch = (at: GitBranch, commit: Commit, until: number): Promise<OnBranch> =>
    ask(at.url, `branch ${commit} ${at.branch} ${at.url}`, until, (host) => host.onBranch(at, commit));

  return {
    async order(at, from, to): Promise<Order> {
      if (from === to) return "same";
      const until = clock.monotonic() + decisionMs;
      const stands = from === undefined ? "ancestor" : await relation(at.url, from, to, until);
      switch (stands) {
        case "same":
        case "unknown-from":
        case "unknown-to":
          return stands;
        case "descendant":
          return "older";
        case "ancestor":
        case "diverged":
          break;
        default:
          return stands satisfies never;
      }
      const held = await onBranch(at, to, until);
      switch (held) {
        case "on":
          return stands === "ancestor" ? "newer" : "diverged";
        case "off":
          return "off-branch";
        case "unknown":
          return "unknown-to";
        default:
          return held satisfies never;
      }
    },
    close: () => hosts.close(),
  };
}

function believedMs(answer: Relation | OnBranch): number {
  switch (answer) {
    case "same":
    case "ancestor":
    case "descendant":
    case "diverged":
      return Number.POSITIVE_INFINITY;
    case "on":
    case "off":
      return branchForMs;
    case "unknown-from":
    case "unknown-to":
    case "unknown":
      return unknownForMs;
    default:
      return answer satisfies never;
  }
}

/** What an answer for (`to`, `from`) says of (`from`, `to`); `undefined`: nothing that lasts. */
function reversed(relation: Relation): Relation | undefined {
  switch (relation) {
    case "ancestor":
      return "descendant";
    case "descendant":
      return "ancestor";
    case "same":
    case "diverged":
      return relation;
    case "unknown-from":
    case "unknown-to":
      return undefined;
    default:
      return relation satisfies never;
  }
}
