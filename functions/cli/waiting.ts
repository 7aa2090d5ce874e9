import type { Clock } from "../../shared/clock.ts";
import { parseDuration } from "../../shared/config/duration.ts";
import { explainOutcome } from "../../shared/domain/outcomes.ts";
import type { Repository } from "../../shared/domain/reference.ts";
import type { RolloutState } from "../../shared/domain/rollout.ts";
import type { WorkloadId } from "../../shared/domain/workload.ts";
import type { Channel, ImageDocument } from "../../shared/ledger/image-document.ts";
import { type EventDocument, type Ledger, rolloutId, type Verdict } from "../../shared/ledger/ledger.ts";
import type { Answer, Call, CliContext } from "./command.ts";
import { isOpen, type RolloutView, readRollout } from "./history.ts";
import { oneLine } from "./render/table.ts";
import { took } from "./render/time.ts";
import { explainVerdict, shortDigests } from "./render/words.ts";

/** The answer to a command that has published. */
export type Published = Answer & {
  readonly kind: "done" | "nothing";
  readonly json: Readonly<Record<string, unknown>>;
};

/** An event to be followed. */
export interface Watch {
  readonly id: string;
  /** The image whose channels it may move. */
  readonly image?: Repository;
  /** It comes only if this one is taken. */
  readonly after?: string;
  /** It has this workload looked at again, whose newest rollout was this one. */
  readonly looked?: { readonly workload: WorkloadId; readonly seq: number };
}

/** What became of events, as far as they were followed. */
interface Followed {
  /** Everything that they led to has ended. */
  readonly isOver: boolean;
  /** Those that are on record, by id. */
  readonly events: Readonly<Record<string, EventDocument>>;
  readonly rollouts: readonly RolloutView[];
  /** Channels of the image that somebody else has moved. */
  readonly conflicts: readonly string[];
  readonly tookMs: number;
}

const defaultTimeoutMs = 20 * 60_000;
const pollMs = 1_000;
/** After so long somebody should have taken a message, ms. */
const patienceMs = 15_000;
/** How long a look at what a workload follows is waited for, ms: most often there is nothing to deploy. */
const lookMs = 5_000;

/** Outcomes of an event at rest after which nothing happens before a person has acted. */
const lost: ReadonlySet<string> = new Set([
  "held-back",
  "history-denied",
  "history-unavailable",
  "missing",
  "no-commit",
  "refused",
  "registry-denied",
  "registry-response",
  "registry-unavailable",
  "unavailable",
  "undecodable",
]);

/** How long `--wait` waits, ms; `undefined`: it was not asked for. */
export function waitOf({ options }: Call): number | undefined | (Answer & { readonly kind: "usage" }) {
  const text = options.timeout;
  const timeoutMs = typeof text === "string" ? parseDuration(text) : defaultTimeoutMs;
  if (timeoutMs === undefined) {
    return { kind: "usage", text: "--timeout needs a duration, e.g. --timeout 90s or --timeout 20m" };
  }
  return options.wait === true ? timeoutMs : undefined;
}

/**
 * Follows events until they are done, the channels that they move are moved, and the rollouts that they led to have ended.
 * Reads up to three documents a second for each, and two more for each rollout that is open.
 * @param timeoutMs after so long it is given up; what happens goes on
 * @throws LedgerUnavailableError when the ledger does not answer
 */
async function follow(
  ledger: Pick<Ledger, "get">,
  { watched, timeoutMs }: { readonly watched: readonly Watch[]; readonly timeoutMs: number },
  { clock, progress }: Pick<CliContext, "progress"> & { readonly clock: Clock },
): Promise<Followed> {
  const startMs = clock.monotonic();
  const said = new Map<string, string>();
  const say = (subject: string, state: string) => {
    if (said.get(subject) === state) return;
    said.set(subject, state);
    progress(oneLine(`${took(clock.monotonic() - startMs).padStart(8)}  ${subject}${state}`));
  };
  const ended = new Map<string, RolloutView>();
  const rested = new Map<string, number>();
  for (;;) {
    const found = await Promise.all(watched.map(({ id, image }) => look(ledger, id, image, ended)));
    const tookMs = clock.monotonic() - startMs;
    for (const [index, { looked }] of watched.entries()) {
      const seen = found[index];
      if (looked === undefined || seen?.event?.outcome !== "ordered") continue;
      found[index] = await withLook(ledger, seen, looked, tookMs, rested);
    }
    const events: Record<string, EventDocument> = {};
    for (const [index, { id, after }] of watched.entries()) {
      const event = found[index]?.event;
      if (event !== undefined) events[id] = event;
      const isNone = after !== undefined && event === undefined;
      const name = watched.length === 1 ? "" : `${id}: `;
      if (!isNone) say(name, event === undefined ? untaken(tookMs) : eventState(event));
    }
    const isExpected = ({ after }: Watch) => after === undefined || events[after]?.outcome === "ordered";
    const open = found.flatMap((each) => each.open);
    const rollouts = found.flatMap((each) => each.rollouts);
    for (const text of open) say(text, "");
    for (const { workload, seq, state, note, reason } of rollouts) {
      const why = isOpen(state) ? note : reason;
      say(`${workload}: rollout ${seq} `, why === undefined ? state : `${state}, ${why}`);
    }
    const isOver =
      watched.every((each) => !isExpected(each) || events[each.id]?.state === "done") &&
      open.length === 0 &&
      rollouts.every(({ state }) => hasEnded(state));
    if (isOver || tookMs >= timeoutMs) {
      return { isOver, events, rollouts, conflicts: found.flatMap(({ conflicts }) => conflicts), tookMs };
    }
    await clock.sleep(Math.min(pollMs, timeoutMs - tookMs));
  }
}

function untaken(tookMs: number): string {
  return tookMs < patienceMs
    ? "published; nobody has taken it yet"
    : "nobody has taken it for 15 s: is a Landfall running that takes messages from there?";
}

/** One that is being rolled back has not come to its end. */
function hasEnded(state: RolloutState): boolean {
  return !isOpen(state) && state !== "rolling-back";
}

/**
 * Follows what was published, and adds to its answer what became of it.
 * @param must what was ordered has to happen: a rollout that another one replaced is a failure
 */
export async function awaited(
  published: Published,
  ledger: Pick<Ledger, "get">,
  what: Parameters<typeof follow>[1] & { readonly place: string; readonly must?: boolean },
  context: CliContext,
): Promise<Answer> {
  const followed = await follow(ledger, what, context);
  const { isGood, lines } = renderFollowed(followed, what);
  const { isOver, events, rollouts, conflicts } = followed;
  const all = Object.values(events);
  const outcome = what.watched.length === 1 ? { outcome: all[0] } : { outcomes: events };
  const json = { ...published.json, ended: isOver, ...outcome, rollouts, conflicts };
  const text = [published.text, ...lines].join("\n");
  if (!isGood) return { kind: "failed", text, json };
  const isNothing = all.length > 0 && all.every((event) => event.outcome === "already");
  return { kind: isNothing && rollouts.length === 0 ? "nothing" : "done", text, json };
}

/** What became of events, as an answer's lines; `isGood` is what the exit code says. */
function renderFollowed(
  { isOver, events, rollouts, conflicts, tookMs }: Followed,
  { watched, place, must }: { watched: readonly Watch[]; readonly place: string; readonly must?: boolean },
): { readonly isGood: boolean; readonly lines: readonly string[] } {
  const all = Object.values(events);
  const isLost = all.some(
    ({ state, outcome }) => state === "done" && outcome !== undefined && lost.has(outcome),
  );
  const isBad = (state: RolloutState) => state !== "succeeded" && (state !== "superseded" || must === true);
  const failed = rollouts.filter(({ state }) => isBad(state));
  const isGood = isOver && !isLost && failed.length === 0 && conflicts.length === 0;
  const untakenLine =
    `Nobody has taken it: does a Landfall run there, and does it take messages from this bus (${place})? ` +
    "Its log and `curl …/health` tell; what is published stays there until somebody takes it.";
  const lines = [
    ...(all.length < watched.filter(({ after }) => after === undefined).length ? [untakenLine] : []),
    ...all.map((event) => oneLine(eventState(event))),
    ...all.flatMap(({ verdicts }) =>
      verdicts.map((verdict) => oneLine(`${verdict.workload}: ${explainVerdict(verdict).sentence}`)),
    ),
    ...rollouts.map(({ workload, seq, state, reason }) =>
      oneLine(`${workload}: rollout ${seq} ${state}${reason === undefined ? "" : `, ${reason}`}`),
    ),
    ...failed.map(({ workload }) => `\`landfall explain ${workload}\` tells what is known of it.`),
    ...conflicts,
    isOver ? `All is over after ${took(tookMs)}.` : `Given up after ${took(tookMs)}; what happens goes on.`,
  ];
  return { isGood, lines: [...new Set(lines)] };
}

/** What is to be seen of an event at one moment. */
interface Seen extends Pick<Followed, "rollouts" | "conflicts"> {
  readonly event?: EventDocument;
  /** What of its image is under way because of it, for a person. */
  readonly open: readonly string[];
}

async function look(
  ledger: Pick<Ledger, "get">,
  id: string,
  image: Repository | undefined,
  ended: Map<string, RolloutView>,
): Promise<Seen> {
  const first = (await ledger.get("events", id))?.value;
  if (first === undefined) return { open: [], rollouts: [], conflicts: [] };
  if (first.state !== "done") return { event: first, open: [], rollouts: [], conflicts: [] };
  const document = image === undefined ? undefined : (await ledger.get("images", image))?.value;
  // Once more, since an image is at rest only when the verdicts are on record.
  const event = (await ledger.get("events", id))?.value ?? first;
  return { event, ...imageState(document, id), rollouts: await rolloutsOf(ledger, event.verdicts, ended) };
}

/** @param rested since when a workload was not to be looked at any more, on the clock of `tookMs`; added to */
async function withLook(
  ledger: Pick<Ledger, "get">,
  seen: Seen,
  { workload, seq }: NonNullable<Watch["looked"]>,
  tookMs: number,
  rested: Map<string, number>,
): Promise<Seen> {
  const document = (await ledger.get("workloads", workload))?.value;
  if (document === undefined) return seen;
  // The first one since: what follows it may undo it. Numbers may be left out.
  for (let next = seq + 1; next <= document.seq; next++) {
    const rollout = await readRollout(ledger, document, next);
    if (rollout !== undefined) return { ...seen, rollouts: [...seen.rollouts, rollout] };
  }
  if (document.relookMs === undefined) {
    const sinceMs = rested.get(workload) ?? tookMs;
    rested.set(workload, sinceMs);
    if (tookMs - sinceMs >= lookMs) return seen;
  }
  return { ...seen, open: [...seen.open, `${workload}: what it follows is looked at`] };
}

function imageState(image: ImageDocument | undefined, event: string): Pick<Seen, "open" | "conflicts"> {
  if (image === undefined) return { open: [], conflicts: [] };
  const { head, planned } = image;
  const channels = Object.entries(image.channels);
  const isHeadOpen = head?.event === event && head.generation > planned;
  return {
    open: [
      ...(isHeadOpen ? ["channels and workloads are looked at"] : []),
      ...channels.flatMap(([tag, channel]) => channelState(tag, channel, event)),
    ],
    conflicts: channels
      .filter(([, { conflict }]) => conflict !== undefined)
      .map(
        ([tag]) => `${tag} was moved by somebody else and is left as it is: see \`landfall promote --help\`.`,
      ),
  };
}

function channelState(tag: string, channel: Channel, event: string): readonly string[] {
  const { intent, asked, promoted, generation, planned, conflict, trouble } = channel;
  const why = trouble === undefined ? "" : `: ${trouble.detail}`;
  if (intent?.to.event === event) return [`${tag} is being moved${why}`];
  if (asked?.event === event && conflict === undefined) return [`${tag} is to be moved${why}`];
  return promoted?.event === event && generation > planned
    ? [`${tag} is moved; workloads are looked at`]
    : [];
}

/** @param ended final ones, which are not read again; added to */
async function rolloutsOf(
  ledger: Pick<Ledger, "get">,
  verdicts: readonly Verdict[],
  ended: Map<string, RolloutView>,
): Promise<readonly RolloutView[]> {
  const found = await Promise.all(
    verdicts.map(async ({ workload, seq }) => {
      if (seq === undefined) return undefined;
      const key = rolloutId(workload, seq);
      const known = ended.get(key);
      if (known !== undefined) return known;
      const stored = await ledger.get("workloads", workload);
      const rollout = stored === undefined ? undefined : await readRollout(ledger, stored.value, seq);
      if (rollout !== undefined && hasEnded(rollout.state)) ended.set(key, rollout);
      return rollout;
    }),
  );
  return found.filter((rollout) => rollout !== undefined);
}

function eventState({ state, outcome, detail }: EventDocument): string {
  const what = outcome === undefined ? "" : `: ${outcome}: ${explainOutcome(outcome).sentence}`;
  return `${state}${what}${detail === undefined ? "" : ` (${shortDigests(detail)})`}`;
}
