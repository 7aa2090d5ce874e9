import { isDeepStrictEqual } from "node:util";
import type { Rollout } from "../../../shared/domain/rollout.ts";
import type { FlowDeps } from "../../../shared/flows/deps.ts";
import {
  type Hold,
  type Ledger,
  refId,
  type WorkloadDocument,
  type Write,
} from "../../../shared/ledger/ledger.ts";
import type { Target } from "../../../shared/targets/target.ts";
import { app, isBad, nameOf, placeOf, web } from "./cast.ts";

/** A rollout as it was put on record. */
interface Plan extends Pick<Rollout, "cause" | "to"> {
  /** How many writes the target had taken until then. */
  readonly at: number;
  /** When that was, in steps. */
  readonly step: number;
  /** When whoever made it had read what is held everywhere, in steps. */
  readAt: number;
  /** It may write what is there already: an earlier write may still arrive, or the last try of it failed. */
  again: boolean;
}

/** Sees every write to the ledger and to targets as it happens, and notes what must never happen. */
export interface Watch {
  readonly problems: string[];
  /** By workload and number, e.g. `swarm/web/3`. */
  readonly plans: ReadonlyMap<string, Plan>;
  ledger(inner: Ledger): Ledger;
  /** An instance whose calls to targets are seen. */
  deps(deps: FlowDeps): FlowDeps;
}

/** What was known when a person pinned a workload. */
interface Pinned {
  readonly sinceMs: number;
  readonly until: "next" | "release";
  /** Generation of the followed tag. */
  readonly ref: number;
  /** Where the newest accepted commit stood. */
  readonly head: number;
}

/** @param written how many writes the target has taken */
export function watch(written: () => number): Watch {
  const problems: string[] = [];
  const plans = new Map<string, Plan>();
  const pins = new Map<string, Pinned>();
  /** Since when a workload is paused, and digests are held for it or for all that run an image, in steps. */
  const paused = new Map<string, { readonly step: number; readonly untilMs: number }>();
  const held = new Map<string, number>();
  const intents = new Set<string>();
  let steps = 0;
  const problem = (about: string, what: string) => void problems.push(`${about}: ${what}`);

  function noteHolds(of: string, holds: readonly Hold[]): void {
    for (const key of [...held.keys()]) {
      const [about, digest] = key.split(" ");
      if (about === of && !holds.some((hold) => hold.digest === digest)) held.delete(key);
    }
    for (const { digest } of holds) held.set(`${of} ${digest}`, held.get(`${of} ${digest}`) ?? steps);
  }

  /** What changes in a workload's document, beside all else that is written with it. */
  async function workload(
    inner: Ledger,
    id: string,
    before: WorkloadDocument | undefined,
    after: WorkloadDocument,
    all: readonly Write[],
  ): Promise<void> {
    const isOrder = all.some(({ collection, value }) => collection === "events" && "order" in value);
    const { open } = after;
    const plan = plans.get(`${id}/${open?.seq}`);
    if (plan !== undefined && (open?.again === true || open?.disputed === true)) plan.again = true;
    if (after.seq < (before?.seq ?? 0)) problem(id, `its number went back to ${after.seq}`);
    if (open !== undefined && open.seq !== before?.open?.seq && open.seq <= (before?.seq ?? 0)) {
      problem(id, `rollout ${open.seq} is opened after ${before?.seq}`);
    }
    for (const hold of after.holds) {
      const isNew = !before?.holds.some(({ digest }) => digest === hold.digest);
      if (isNew && hold.by === undefined && !isBad(hold.digest)) {
        problem(id, `${nameOf(hold.digest)} is held, and does nothing wrong`);
      }
    }
    for (const { by, digest } of before?.holds ?? []) {
      const isGone = !after.holds.some((hold) => hold.digest === digest);
      if (isGone && by !== undefined && !isOrder) problem(id, `the hold of ${by} is gone`);
    }
    const isSame = after.pin?.sinceMs === before?.pin?.sinceMs && after.pin?.until === before?.pin?.until;
    const isNewPin = after.pin !== undefined && !isSame;
    if (isNewPin && !isOrder) problem(id, "nobody asked for its pin");
    if (before?.pin !== undefined && after.pin === undefined && !isOrder) {
      await lifted(inner, id, before.pin.by, open);
    }
    if (after.pin === undefined) pins.delete(id);
    else if (isNewPin) {
      const ref = (await inner.get("refs", refId(web, "v1")))?.value.generation ?? 0;
      const head = placeOf((await inner.get("images", app))?.value.head?.digest) ?? -1;
      // A pin that is said once more is over what the first one was.
      const over = pins.get(id) ?? { ref, head };
      pins.set(id, { ...over, sinceMs: after.pin.sinceMs, until: after.pin.until });
    }
    if (after.pause === undefined) paused.delete(id);
    // Two orders may be carried out at the same time of the clock.
    else if (!isDeepStrictEqual(after.pause, before?.pause)) {
      paused.set(id, { step: steps, untilMs: after.pause.untilMs ?? Number.POSITIVE_INFINITY });
    }
    noteHolds(id, after.holds);
  }

  /** A pin is gone, and nobody asked for it: something newer must have been heard since. */
  async function lifted(
    inner: Ledger,
    id: string,
    by: string,
    open: WorkloadDocument["open"],
  ): Promise<void> {
    const pin = pins.get(id);
    const [wanted] = Object.values(open?.to ?? {});
    if (pin === undefined || wanted === undefined) return problem(id, `the pin of ${by} is gone`);
    if (pin.until === "release") return problem(id, `${open?.cause.kind} lifted a pin until release`);
    if (wanted.repository === web) {
      // What is observed under another tag is judged by that tag: a person chose it since.
      if (wanted.tag === "v1" && wanted.generation <= pin.ref) {
        problem(id, `${open?.cause.kind} of what was known already lifted a pin`);
      }
      return;
    }
    const builds = (await inner.get("images", app))?.value.builds ?? [];
    const heardMs = builds.findLast(({ digest }) => digest === wanted.digest)?.heardMs ?? 0;
    const place = placeOf(wanted.digest) ?? -1;
    if (place < pin.head || heardMs <= pin.sinceMs) {
      problem(id, `${open?.cause.kind} of ${nameOf(wanted.digest)}, no later successor, lifted a pin`);
    }
  }

  /** A rollout that is created, or that ends. */
  async function rollout(
    inner: Ledger,
    id: string,
    { workload, seq, state, cause, to }: Rollout,
    before: WorkloadDocument | undefined,
    isNew: boolean,
    all: readonly Write[],
  ): Promise<void> {
    if (isNew) {
      plans.set(id, { cause, to, at: written(), step: steps, readAt: steps, again: false });
      const open = before?.open;
      const isClosed = all.some(
        ({ id: other, expect }) => other === `${workload}/${open?.seq}` && expect === 1,
      );
      if (open !== undefined && !isClosed) problem(id, `${open.seq} is still open`);
      const undone = plans.get(`${workload}/${cause.of}`)?.cause;
      if (cause.kind === "rollback" && undone?.kind === "rollback") problem(id, "a rollback is rolled back");
      if (cause.kind === "rollback" || cause.kind === "deploy" || cause.kind === "retry") return;
      const image = all.find((each) => each.collection === "images");
      const head = image?.value.head ?? (await inner.get("images", app))?.value.head;
      for (const { digest } of Object.values(to)) {
        const [place, newest] = [placeOf(digest), placeOf(head?.digest)];
        if (place !== undefined && newest !== undefined && place < newest) {
          problem(id, `a plan for ${nameOf(digest)} under ${nameOf(head?.digest)}`);
        }
      }
      return;
    }
    if (state === "superseded" || state === "rolled-back" || state === "rollback-unavailable") return;
    if (before?.open?.seq !== seq && state !== "failed") problem(id, `${state}, and it was not open`);
  }

  return {
    problems,
    plans,
    ledger: (inner) => ({
      ...inner,
      async commit(writer, writes, checks) {
        const befores = new Map<string, WorkloadDocument | undefined>();
        for (const { collection, id, value } of writes) {
          const about =
            collection === "workloads" ? id : collection === "rollouts" ? value.workload : undefined;
          if (about !== undefined) befores.set(about, (await inner.get("workloads", about))?.value);
        }
        const outcome = await inner.commit(writer, writes, checks);
        if (outcome.kind === "conflict") return outcome;
        steps++;
        for (const { collection, id, value, expect } of writes) {
          if (collection === "rollouts") {
            await rollout(inner, id, value, befores.get(value.workload), expect === 0, writes);
          }
        }
        for (const { collection, id, value } of writes) {
          if (collection === "workloads") await workload(inner, id, befores.get(id), value, writes);
          if (collection === "images") {
            noteHolds(id, value.holds ?? []);
            for (const { intent } of Object.values(value.channels)) {
              if (intent === undefined || intents.has(intent.lease.holder)) continue;
              intents.add(intent.lease.holder);
              const [place, newest] = [placeOf(intent.to.digest), placeOf(value.head?.digest)];
              const isOld = place !== undefined && newest !== undefined && place < newest;
              if (isOld) problem(id, `an intent for ${nameOf(intent.to.digest)}`);
            }
          }
        }
        return outcome;
      },
    }),
    deps: (deps) => {
      const saves = new Map<string, number>();
      const reads = new Map<string, number>();
      const ledger: Ledger = {
        ...deps.ledger,
        async get(collection, id) {
          if (collection === "images") reads.set(id, steps);
          return deps.ledger.get(collection, id);
        },
        async commit(writer, writes, checks) {
          const before = steps;
          const outcome = await deps.ledger.commit(writer, writes, checks);
          for (const { collection, id, value } of outcome.kind === "committed" ? writes : []) {
            if (collection === "workloads") saves.set(`${id}/${value.seq}`, before);
            const plan = collection === "rollouts" ? plans.get(id) : undefined;
            const [wanted] = Object.values(plan?.to ?? {});
            if (plan?.step === steps) plan.readAt = reads.get(wanted?.repository ?? "") ?? steps;
          }
          return outcome;
        },
      };
      const targets = deps.targets.map((at) => ({ ...at, target: watched(deps, at, saves) }));
      return { ...deps, ledger, targets };
    },
  };

  /** @param saves when an instance put each rollout on record last, in steps: what had been said by then, it knows */
  function watched(
    deps: FlowDeps,
    { target, mode }: FlowDeps["targets"][number],
    saves: ReadonlyMap<string, number>,
  ): Target {
    return {
      ...target,
      update: (read, change) => {
        const about = `${read.id}/${change.seq}`;
        const plan = plans.get(about);
        const saved = saves.get(about) ?? 0;
        const known = (step: number | undefined) => step !== undefined && step < saved;
        if (mode === "observe") problem(about, "written, though it is only observed");
        if (plan === undefined) problem(about, "written, and no plan is on record");
        const cause = plan?.cause;
        // What undoes a failure goes on whatever a person says of the future.
        const goesOn = cause?.kind === "rollback" || cause?.kind === "deploy" || pins.has(read.id);
        if (cause?.kind !== "rollback" && deps.frozenUntil(target.name, deps.clock.now()) !== undefined) {
          problem(about, `${cause?.kind} written in a freeze`);
        }
        const pause = paused.get(read.id);
        const isPaused = known(pause?.step) && (pause?.untilMs ?? 0) > deps.clock.now();
        if (!goesOn && isPaused) problem(about, `${cause?.kind} written in a pause`);
        if (!goesOn && read.settings.pause === "true")
          problem(about, `${cause?.kind} written over its label`);
        for (const { repository, digest } of Object.values(change.images)) {
          for (const whose of [repository, read.id]) {
            const since = held.get(`${whose} ${digest}`);
            // What goes back, and what a person ordered, goes on though a hold came after it. What is held everywhere in
            // the very moment of a plan comes after that.
            const { step: plannedAt = 0, readAt = 0 } = plan ?? {};
            const isLate = (since ?? 0) >= readAt && (since ?? 0) < plannedAt;
            if (known(since) && !isLate && !(goesOn && (since ?? 0) >= plannedAt))
              problem(about, `${cause?.kind} of ${nameOf(digest)}, held`);
          }
        }
        return target.update(read, change);
      },
    };
  }
}
