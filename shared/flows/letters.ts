import { messageOf } from "../errors.ts";
import type { Stored, Write } from "../ledger/ledger.ts";
import { type Addressee, type LetterDocument, letterId } from "../ledger/notice-document.ts";
import type { Delivered } from "../notify/notifier.ts";
import { type Budget, type FlowDeps, leftMs } from "./deps.ts";
import { isUnderWay } from "./event-rollouts.ts";
import { noticesKeptMs } from "./notices.ts";
import { record } from "./record.ts";

type StoredLetter = Stored<"letters">;
type StoredNotice = Stored<"notices">;

/** A letter is sent so long after its last notice, ms, … */
const quietMs = 5_000;
/** … and once no rollout of its event is under way, but never later than this after its first one. */
const longestWaitMs = 5 * 60_000;
/** How long an attempt is believed to be under way. */
const attemptMs = 60_000;
const firstPauseMs = 30_000;
const longestPauseMs = 15 * 60_000;
const giveUpMs = 24 * 3_600_000;
const maxNotices = 50;

/**
 * Puts notices into letters, one a kind and group, each together with its letter in one batch: what another sweep was
 * faster with is left to that one.
 * @returns the letters as they are now
 */
export async function gather(
  deps: FlowDeps,
  notices: readonly StoredNotice[],
): Promise<readonly StoredLetter[]> {
  const groups = Map.groupBy(notices, ({ value }) => letterId(value.notice.kind, value.group, 0));
  const letters = await Promise.all(
    [...groups.values()].map((group) =>
      add(deps, group).catch((error: unknown) => {
        deps.log.write("error", `notices stay untold for now: ${messageOf(error)}`);
        return undefined;
      }),
    ),
  );
  return letters.flatMap((letter) => letter ?? []);
}

async function add(deps: FlowDeps, added: readonly StoredNotice[]): Promise<StoredLetter | undefined> {
  const [first] = added;
  if (first === undefined) return undefined;
  const { notice, group } = first.value;
  for (let number = 0; ; number++) {
    const id = letterId(notice.kind, group, number);
    const stored = await deps.ledger.get("letters", id);
    if (stored !== undefined && stored.value.state !== "gathering") continue;
    const value = withNotices(stored?.value ?? newLetter(deps, first), added);
    const write: Write = { collection: "letters", id, expect: stored?.rev ?? 0, value };
    const gathered = added.map(({ id: noticeId, rev, value: { dueMs: _, ...rest } }): Write => {
      return { collection: "notices", id: noticeId, expect: rev, value: rest };
    });
    if ((await record(deps, "notice.gather", [write, ...gathered])) === "conflict") return undefined;
    return { id, rev: write.expect + 1, writer: "", value };
  }
}

function newLetter(deps: FlowDeps, { value: { notice, group } }: StoredNotice): LetterDocument {
  const { kind, event, atMs } = notice;
  return {
    kind,
    group,
    state: "gathering",
    message: deps.newId(),
    ...(event === undefined ? {} : { event }),
    notices: [],
    more: 0,
    sinceMs: atMs,
    open: [],
    expireMs: atMs + noticesKeptMs,
  };
}

function withNotices(letter: LetterDocument, added: readonly StoredNotice[]): LetterDocument {
  const all = [...letter.notices, ...added.map(({ value }) => value.notice)].toSorted(
    (one, other) => one.atMs - other.atMs,
  );
  const sinceMs = Math.min(letter.sinceMs, ...all.map(({ atMs }) => atMs));
  const lastMs = Math.max(...all.map(({ atMs }) => atMs));
  return {
    ...letter,
    notices: all.slice(0, maxNotices),
    more: letter.more + Math.max(0, all.length - maxNotices),
    sinceMs,
    dueMs: Math.min(lastMs + quietMs, sinceMs + longestWaitMs),
  };
}

/**
 * Sends letters whose time has come, oldest first. A notifier that fails is not asked again in this sweep, so that a
 * dead one costs one deadline and keeps nobody else's letters back.
 * @returns the ids of those that were looked at, and what went wrong with the ledger
 */
export async function sendLetters(
  deps: FlowDeps,
  letters: readonly StoredLetter[],
  budget: Budget,
): Promise<readonly { readonly id: string; readonly error?: string }[]> {
  const down = new Set<string>();
  const looked: { id: string; error?: string }[] = [];
  for (const letter of letters.toSorted((one, other) => one.value.sinceMs - other.value.sinceMs)) {
    if (leftMs(budget, deps.clock) === 0) break;
    try {
      await send(deps, letter, down);
      looked.push({ id: letter.id });
    } catch (error) {
      // It stays due: another sweep finds it, and sends it once more under the same name if it was sent.
      deps.log.write("error", `letter ${letter.id}: ${messageOf(error)}`);
      looked.push({ id: letter.id, error: messageOf(error) });
    }
  }
  return looked;
}

async function send(deps: FlowDeps, stored: StoredLetter, down: Set<string>): Promise<void> {
  const nowMs = await deps.ledger.clock();
  const { value } = stored;
  if (value.dueMs === undefined || value.dueMs > nowMs || (await isEarly(deps, value, nowMs))) return;
  const names = deps.notifiers.filter(({ on }) => on.has(value.kind)).map(({ name }) => name);
  const open: readonly Addressee[] =
    value.state === "gathering"
      ? names.map((name) => ({ name, tries: 0, dueMs: nowMs }))
      : value.open.filter(({ name }) => names.includes(name));
  const asked = open.filter(({ name, dueMs }) => dueMs <= nowMs && !down.has(name));
  if (asked.length === 0) {
    const later = open.map((each) => ({ ...each, dueMs: Math.max(each.dueMs, nowMs + firstPauseMs) }));
    await save(deps, "letter.claim", stored, { ...value, ...stateOf(later) });
    return;
  }
  const sending = { ...value, state: "sending", open, dueMs: nowMs + attemptMs } as const;
  const claimed = await save(deps, "letter.claim", stored, sending);
  if (claimed === undefined) return;
  const answers = new Map(
    await Promise.all(asked.map(async ({ name }) => [name, await deliver(deps, name, value)] as const)),
  );
  const answeredMs = await deps.ledger.clock();
  const left = open.flatMap((each) => {
    const answer = answers.get(each.name);
    if (answer === undefined) return [each];
    if (answer.kind === "failed") down.add(each.name);
    return afterwards(deps, value, each, answer, answeredMs);
  });
  await save(deps, "letter.result", claimed, { ...claimed.value, ...stateOf(left) });
}

/** Rollouts of the same event may still fail: they belong into the same letter. */
async function isEarly(deps: FlowDeps, letter: LetterDocument, nowMs: number): Promise<boolean> {
  const { state, event, notices, sinceMs } = letter;
  if (state !== "gathering" || event === undefined || nowMs >= sinceMs + longestWaitMs) return false;
  if (notices.every(({ seq }) => seq === undefined)) return false;
  return isUnderWay(deps, event, new Set(notices.map(({ subject }) => subject)));
}

async function deliver(
  deps: FlowDeps,
  name: string,
  { message, kind, event, notices, more }: LetterDocument,
): Promise<Delivered> {
  const letter = { message, kind, ...(event === undefined ? {} : { event }), notices, more };
  const notifier = deps.notifiers.find((each) => each.name === name);
  if (notifier === undefined) return { kind: "refused", reason: "it is not configured any more" };
  try {
    return await deps.recorder.step("letter.send", async () => (await notifier.open()).send(letter));
  } catch (error) {
    return { kind: "failed", reason: messageOf(error) };
  }
}

/** What is left to do for a notifier that has answered. */
function afterwards(
  deps: FlowDeps,
  letter: LetterDocument,
  { name, tries }: Addressee,
  answer: Delivered,
  nowMs: number,
): readonly Addressee[] {
  const about = `${letter.kind} (${letter.message})`;
  switch (answer.kind) {
    case "taken":
      deps.log.write("info", `${name} was told: ${about}`, { outcome: "told" });
      return [];
    case "refused":
      deps.log.write("error", `${name} is not told, ${answer.reason}: ${about}`, { outcome: "untold" });
      return [];
    case "failed": {
      if (nowMs - letter.sinceMs > giveUpMs) {
        deps.log.write("error", `${name} is not told, given up: ${answer.reason}: ${about}`, {
          outcome: "untold",
        });
        return [];
      }
      const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** tries) * (1 + deps.random() / 4);
      const waitMs = Math.round(Math.max(pauseMs, answer.retryAfterMs ?? 0));
      deps.log.write(
        "warning",
        `${name} is not told yet: ${answer.reason}; again in ${Math.round(waitMs / 1000)} s: ${about}`,
      );
      return [{ name, tries: tries + 1, dueMs: nowMs + waitMs }];
    }
    default:
      return answer satisfies never;
  }
}

function stateOf(open: readonly Addressee[]): Pick<LetterDocument, "state" | "open" | "dueMs"> {
  return open.length === 0
    ? { state: "done", open }
    : { state: "sending", open, dueMs: Math.min(...open.map(({ dueMs }) => dueMs)) };
}

async function save(
  deps: FlowDeps,
  point: "letter.claim" | "letter.result",
  stored: StoredLetter,
  { dueMs, ...value }: LetterDocument,
): Promise<StoredLetter | undefined> {
  const isDue = value.state !== "done" && dueMs !== undefined;
  const next: LetterDocument = { ...value, ...(isDue ? { dueMs } : {}) };
  const write = { collection: "letters", id: stored.id, expect: stored.rev, value: next } as const;
  if ((await record(deps, point, [write])) === "conflict") return undefined;
  return { ...stored, rev: stored.rev + 1, value: next };
}
