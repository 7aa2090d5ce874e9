import { type BuildDecision, decideBuild } from "../decide/order.ts";
import { giveUpMs, lagPausesMs, namedLagPausesMs, troublePausesMs } from "../decide/patience.ts";
import type { ImageBuild } from "../domain/build.ts";
import { type Commit, isCommit } from "../domain/commit.ts";
import type { Digest } from "../domain/reference.ts";
import { LedgerUnavailableError, messageOf, retryAfterOf } from "../errors.ts";
import type { Built, ImageDocument } from "../ledger/image-document.ts";
import type { EventDocument, Stored } from "../ledger/ledger.ts";
import { advanceImage } from "./advance-image.ts";
import { type Budget, type FlowDeps, leftMs } from "./deps.ts";
import { claimEvent, eventKeptMs } from "./event.ts";
import { loadImage, saveImage } from "./image.ts";
import { buildNotice } from "./image-notices.ts";
import { silenceOf } from "./plan-target.ts";
import { record } from "./record.ts";

/** CI built an image, or a registry reports a tag that is a commit. */
export interface BuildHeard {
  readonly event: string;
  readonly heardMs: number;
  readonly build: ImageBuild;
}

const maxBuilds = 100;
/** A registry or git host that may only be behind is asked again after these, ms; then it is taken at its word. */
const lagLooksMs = [10_000, 60_000, 300_000, 300_000] as const;
const maxRaces = 20;
/** Who has lost a race lets others through, for longer each time, ms. */
const racePauseMs = 50;

/** What one look at a build came to. */
interface Pass {
  readonly outcome: string;
  readonly detail?: string;
  readonly digest?: Digest;
  /** Before the next look; absent: the event is done. */
  readonly wait?: Wait;
  /** The image with the build in it, on top of the one that was read. */
  readonly image?: { readonly before: Stored<"images">; readonly value: ImageDocument };
}

interface Wait {
  readonly pauseMs: number;
  /** How often in a row for the same reason, this time included. */
  readonly tries: number;
}

/**
 * A build of an image whose commits have an order: what does the registry hold under its tag, is its commit newer than
 * the newest accepted one, and then everything that follows from that. Safe to repeat at any point.
 * @param stored the event, where it is on record already
 * @throws LedgerUnavailableError (retryable) only; everything else ends as a verdict or as `waiting`
 */
export async function handleBuild(
  deps: FlowDeps,
  heard: BuildHeard,
  budget: Budget,
  stored?: Stored<"events">,
): Promise<void> {
  let rev = stored?.rev ?? 0;
  let last = stored?.value;
  for (let looks = last?.looks ?? 0; ; looks++) {
    const written = await look(deps, heard, { looks, last }, rev);
    if (written.value.dueMs === undefined) break;
    const waitMs = written.value.dueMs - (await deps.ledger.clock());
    if (waitMs >= leftMs(budget, deps.clock)) return;
    await deps.clock.sleep(Math.max(0, waitMs), budget.stopping);
    if (leftMs(budget, deps.clock) === 0) return;
    const claimed = await claimEvent(deps, heard.event, written.value, written.rev);
    if (claimed === undefined) return;
    rev = claimed;
    last = written.value;
  }
  await advanceImage(deps, heard.build.image, budget);
}

/** What earlier looks came to. */
interface Before {
  readonly looks: number;
  readonly last: EventDocument | undefined;
}

/** Looks, and puts on record what came of it, image and event together; an answer that lost a race is thrown away. */
async function look(
  deps: FlowDeps,
  heard: BuildHeard,
  before: Before,
  firstRev: number,
): Promise<Stored<"events">> {
  let rev = firstRev;
  for (let race = 0; race < maxRaces; race++) {
    const pass = await decide(deps, heard, before.last);
    const value = await eventOf(deps, heard, pass, before.looks);
    const write = { collection: "events", id: heard.event, expect: rev, value } as const;
    const told = buildNotice(deps, heard, pass, alarming);
    const written =
      pass.image === undefined
        ? (await record(deps, "event.record", [write, ...told])) === "written"
        : (await saveImage(deps, "image.record", pass.image.before, pass.image.value, [write, ...told])) !==
          undefined;
    if (written) {
      tell(deps, heard, pass);
      return { id: heard.event, rev: rev + 1, writer: "", value };
    }
    const now = await deps.ledger.get("events", heard.event);
    // Another delivery of the same message: the image is carried on by whoever of us comes last.
    if (now?.value.state === "done") return now;
    rev = now?.rev ?? 0;
    await deps.clock.sleep(deps.random() * racePauseMs * (race + 1));
  }
  // What is not on record has to be delivered again.
  throw new LedgerUnavailableError(`${heard.build.image} changes faster than a build of it can be recorded`);
}

async function decide(
  deps: FlowDeps,
  { event, build, heardMs }: BuildHeard,
  last: EventDocument | undefined,
): Promise<Pass> {
  const { image: repository, tag } = build;
  const rule = deps.rule(repository);
  if (!deps.follows(repository)) {
    return { outcome: "not-followed", detail: `${repository} is not matched by \`follow\`` };
  }
  if (rule.ignores(tag)) return { outcome: "ignored-tag", detail: `\`ignoreTags\` matches ${tag}` };
  if (build.dirty === true || tag.endsWith("-dirty")) {
    return { outcome: "dirty", detail: "it was built from changes that are in no commit" };
  }
  const commit = build.commit ?? tag;
  if (rule.git === undefined || !isCommit(commit)) {
    return { outcome: "no-commit", detail: `neither \`commit\` nor the tag ${tag} is a full commit id` };
  }
  const waitedMs = (await deps.ledger.clock()) - heardMs;
  const triesOf = (outcome: string) => (last?.outcome === outcome ? (last.tries ?? 0) : 0);
  const again = (outcome: string, pauses: readonly number[], leastMs = 0): Pick<Pass, "wait"> => {
    const tries = triesOf(outcome);
    const pauseMs = Math.max(pauses[Math.min(tries, pauses.length - 1)] ?? 0, leastMs);
    return waitedMs > giveUpMs ? {} : { wait: { pauseMs, tries: tries + 1 } };
  };
  const lagging = (outcome: string, pauses: readonly number[]) =>
    triesOf(outcome) < pauses.length ? again(outcome, pauses) : {};
  const behind = (outcome: string, pauses: readonly number[]) =>
    lagging(outcome, build.digest === undefined ? pauses : [namedLagPausesMs[0], ...pauses]);
  const before = await loadImage(deps, repository);
  try {
    const found = await deps.recorder.step("registry.head", () => deps.registry.head(repository, tag));
    if (found === undefined) {
      const outcome = "missing";
      return {
        outcome,
        detail: `${repository}:${tag} is not in the registry`,
        ...behind(outcome, lagLooksMs),
      };
    }
    const { digest } = found;
    const { head } = before.value;
    if (build.digest !== undefined && build.digest !== digest && digest === head?.digest) {
      const { wait } = behind("unchanged", lagPausesMs);
      const detail = `the registry does not show ${build.digest} yet`;
      if (wait !== undefined) return { outcome: "unchanged", detail, wait };
    }
    const git = rule.git;
    const order = await deps.recorder.step("history.order", () =>
      deps.history.order(git, head?.commit, commit),
    );
    const facts = { order, branch: git.branch, head, commit, digest, rebuilds: git.rebuilds };
    const built = { commit, tag, digest, event, heardMs };
    const nowMs = await deps.ledger.clock();
    return accept(before, built, decideBuild(facts), nowMs, lagging(unknownCommit, lagLooksMs));
  } catch (error) {
    const outcome = silenceOf(error);
    if (outcome === undefined) throw error;
    return { outcome, detail: messageOf(error), ...again(outcome, troublePausesMs, retryAfterOf(error)) };
  }
}

const unknownCommit = "unknown-commit";

/** @param later the pause before the next look, where only waiting can help */
function accept(
  before: Stored<"images">,
  built: Built & { readonly commit: Commit },
  decision: BuildDecision,
  nowMs: number,
  later: Pick<Pass, "wait">,
): Pass {
  const { value } = before;
  const { digest } = built;
  const isKnown = value.builds.some((each) => each.digest === digest && each.commit === built.commit);
  const builds = isKnown ? value.builds : [built, ...value.builds].slice(0, maxBuilds);
  const image = { before, value: { ...value, builds } };
  const heldBack = (detail: string) => ({ outcome: "held-back", detail, digest });
  switch (decision.kind) {
    case "head":
    case "rebuild": {
      const head = { ...built, generation: (value.head?.generation ?? 0) + 1, acceptedMs: nowMs };
      return { outcome: decision.kind, digest, image: { before, value: { ...image.value, head } } };
    }
    case "current":
      return { outcome: "current", digest, ...(isKnown ? {} : { image }) };
    case "superseded":
      return { outcome: "superseded", detail: decision.detail, digest, ...(isKnown ? {} : { image }) };
    case "held-back":
      // Kept for a person, who may accept it.
      return { ...heldBack(`${decision.reason}: ${decision.detail}`), ...(isKnown ? {} : { image }) };
    case "not-yet":
      return later.wait === undefined
        ? { ...heldBack(`${unknownCommit}: ${decision.detail}`), ...(isKnown ? {} : { image }) }
        : { outcome: unknownCommit, detail: decision.detail, digest, wait: later.wait };
    default:
      return decision satisfies never;
  }
}

async function eventOf(
  deps: FlowDeps,
  { build, heardMs }: BuildHeard,
  { outcome, detail, digest, wait }: Pass,
  looks: number,
): Promise<EventDocument> {
  const nowMs = await deps.ledger.clock();
  return {
    state: wait === undefined ? "done" : "waiting",
    build,
    heardMs,
    outcome,
    ...(detail === undefined ? {} : { detail }),
    ...(digest === undefined ? {} : { digest, observedMs: nowMs }),
    verdicts: [],
    more: 0,
    looks,
    ...(wait === undefined ? {} : { tries: wait.tries, dueMs: nowMs + wait.pauseMs }),
    expireMs: heardMs + eventKeptMs,
  };
}

/** Outcomes that a person has to know of, because nothing will happen by itself any more. */
const alarming = new Set([
  "held-back",
  "missing",
  "no-commit",
  "registry-unavailable",
  "registry-denied",
  "registry-response",
  "history-unavailable",
  "history-denied",
]);

function tell(deps: FlowDeps, { event, build }: BuildHeard, { outcome, detail, wait }: Pass): void {
  const why = detail === undefined ? "" : `: ${detail}`;
  const next = wait === undefined ? "" : `; looking again in ${Math.round(wait.pauseMs / 1000)} s`;
  const severity = wait !== undefined ? "warning" : alarming.has(outcome) ? "alert" : "info";
  deps.log.write(severity, `build ${build.image}:${build.tag} ${outcome}${why}${next}`, { event, outcome });
}
