import type { FlowDeps } from "./deps.ts";
import { answerTo, askedOf, type Known, type UnknownWish, type Wish } from "./drift-look.ts";
import type { Question } from "./drift-questions.ts";

/** Questions to one registry at once. */
const maxAtOnce = 16;
/** After so many questions in a row without an answer a registry is asked nothing more in this run. */
const maxSilent = 16;

export interface Answers {
  /** What is wanted, by the question's key. */
  readonly wishes: ReadonlyMap<string, Wish>;
  /** By registry: the last question before those that were not asked any more. A registry that was asked all has none. */
  readonly cursors: Readonly<Record<string, string>>;
  /** What could not be asked, in words, once a registry and reason. */
  readonly troubles: readonly string[];
}

export interface Asking {
  readonly known: Known;
  /** Where the run before had to stop, by registry. */
  readonly cursors: Readonly<Record<string, string>>;
  /** After every answer. */
  readonly onAnswer: () => Promise<void>;
}

/**
 * Asks every question once, each registry on its own: one that is slow, silent or has had enough keeps no other one
 * waiting. A registry is asked in the order of the keys from its cursor on, so that as many as its limit allows are
 * looked at in each run, and all of them in as many runs as that takes.
 */
export async function askAll(
  deps: FlowDeps,
  questions: readonly Question[],
  asking: Asking,
): Promise<Answers> {
  const wishes = new Map<string, Wish>();
  const hosts = Map.groupBy(questions, (question) => askedOf(question) ?? "");
  const cursors: Record<string, string> = {};
  await Promise.all(
    [...hosts].map(async ([host, own]) => {
      const cursor = await askHost(deps, host, fromCursor(own, asking.cursors[host]), asking, wishes);
      if (cursor !== undefined) cursors[host] = cursor;
    }),
  );
  return { wishes, cursors, troubles: troublesOf(questions, wishes) };
}

/** All of them, those behind the cursor first. */
function fromCursor(questions: readonly Question[], cursor: string | undefined): readonly Question[] {
  const sorted = questions.toSorted((one, other) => (one.key < other.key ? -1 : 1));
  const next = cursor === undefined ? 0 : sorted.findIndex(({ key }) => key > cursor);
  return next <= 0 ? sorted : [...sorted.slice(next), ...sorted.slice(0, next)];
}

/** @returns the registry's cursor; `undefined`: everything was asked */
async function askHost(
  deps: FlowDeps,
  host: string,
  questions: readonly Question[],
  { known, onAnswer, cursors }: Asking,
  wishes: Map<string, Wish>,
): Promise<string | undefined> {
  const running = new Set<Promise<void>>();
  let next = 0;
  let answered = 0;
  let silent = 0;
  let stop: UnknownWish | undefined;
  const failures: unknown[] = [];

  const ask = async (question: Question): Promise<void> => {
    const wish = await answerTo(deps, question, known);
    answered++;
    if (wish.kind === "unknown" && wish.retryAfterMs !== undefined) {
      stop = await limited(deps, host, wish.retryAfterMs);
      return;
    }
    silent = wish.kind === "unknown" && wish.reason === "registry-unavailable" ? silent + 1 : 0;
    if (silent >= maxSilent && wish.kind === "unknown") {
      const detail = `${host} gave no answer to ${maxSilent} questions in a row: ${wish.detail}`;
      stop = { kind: "unknown", reason: wish.reason, detail };
    }
    wishes.set(question.key, wish);
    await onAnswer();
  };

  /** What the registry leaves us beside those that are under way. Before it has answered once, nobody knows. */
  const room = (): number => {
    if (answered === 0) return 1;
    return Math.min(maxAtOnce, deps.registry.limits(host)?.remaining ?? maxAtOnce);
  };

  for (let question = questions[0]; question !== undefined && stop === undefined && failures.length === 0; ) {
    if (running.size < room()) {
      const asked = ask(question)
        .catch((error: unknown) => void failures.push(error))
        .finally(() => running.delete(asked));
      running.add(asked);
      question = questions[++next];
    } else if (running.size > 0) await Promise.race(running);
    else stop = await limited(deps, host, deps.registry.limits(host)?.windowMs);
  }
  await Promise.all(running);
  if (failures.length > 0) throw failures[0];
  const unasked = questions.findIndex(({ key }) => !wishes.has(key));
  if (unasked < 0 || stop === undefined) return undefined;
  for (const { key } of questions) if (!wishes.has(key)) wishes.set(key, stop);
  return unasked === 0 ? cursors[host] : questions[unasked - 1]?.key;
}

async function limited(
  { ledger }: Pick<FlowDeps, "ledger">,
  host: string,
  waitMs: number | undefined,
): Promise<UnknownWish> {
  const until =
    waitMs === undefined ? "for now" : `until ${new Date((await ledger.clock()) + waitMs).toISOString()}`;
  const detail = `${host} wants to be asked no more ${until}; a later run goes on here`;
  return { kind: "unknown", reason: "rate-limited", detail };
}

function troublesOf(questions: readonly Question[], wishes: ReadonlyMap<string, Wish>): readonly string[] {
  const groups = new Map<string, { readonly detail: string; count: number }>();
  for (const question of questions) {
    const host = askedOf(question);
    const wish = wishes.get(question.key);
    if (host === undefined || wish?.kind !== "unknown") continue;
    const group = groups.get(`${host} ${wish.reason}`) ?? { detail: wish.detail, count: 0 };
    group.count++;
    groups.set(`${host} ${wish.reason}`, group);
  }
  return [...groups.values()].map(({ detail, count }) =>
    count === 1 ? detail : `${detail} (and so ${count - 1} more)`,
  );
}
