import type { Bus } from "../bus/bus.ts";
import type { Clock } from "../clock.ts";
import type { ImageRule } from "../decide/rules.ts";
import type { VerifyRules } from "../decide/verify.ts";
import type { NoticeKind } from "../domain/notice.ts";
import type { Repository } from "../domain/reference.ts";
import type { CommitHistory } from "../history/commit-history.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { Log } from "../log.ts";
import type { Notifier } from "../notify/notifier.ts";
import type { Registry } from "../registry/registry.ts";
import type { Target } from "../targets/target.ts";
import type { Recorder } from "./recorder.ts";

/** Everything a flow acts with; made once an instance by the wiring. */
export interface FlowDeps {
  readonly ledger: Ledger;
  readonly bus: Pick<Bus, "publish">;
  readonly registry: Pick<Registry, "head" | "get" | "put" | "platforms" | "tags" | "limits">;
  readonly history: Pick<CommitHistory, "order">;
  readonly targets: readonly FlowTarget[];
  /** Whether the configuration lets Landfall deploy images of this repository. */
  readonly follows: (repository: Repository) => boolean;
  /** What the configuration says of an image. */
  readonly rule: (repository: Repository) => ImageRule;
  readonly verify: VerifyRules;
  /** When the freezes that hold for a target end, ms; `undefined`: none does. */
  readonly frozenUntil: (target: string, nowMs: number) => number | undefined;
  /** Whether a workload whose rollout fails is brought back to what was good. */
  readonly rollback: boolean;
  /** Workloads of one target that may be applying or verifying at once, over all instances. */
  readonly maxParallel: number;
  /** Share of a target's references that a full run may deploy unexplained, from 0 to 1; above it nothing is deployed. */
  readonly maxDriftShare: number;
  /** Short hash of the configuration, recorded with each rollout. */
  readonly configHash: string;
  /** Who tells people what; none: nothing is put on record for them. */
  readonly notifiers: readonly FlowNotifier[];
  /** A newer version of the configuration that is refused; the same object while it is the same version. */
  readonly refusedConfig?: () => RefusedConfig | undefined;
  /** The same after another look at the configuration, which is made at most once a minute otherwise. */
  readonly fresh?: () => Promise<FlowDeps>;
  readonly clock: Clock;
  readonly log: Log;
  readonly newId: () => string;
  /** In [0, 1): spreads retries, decides nothing. */
  readonly random: () => number;
  readonly recorder: Recorder;
}

export interface FlowTarget {
  readonly target: Target;
  readonly mode: "act" | "observe";
}

export interface FlowNotifier {
  /** e.g. `slack`, or `slack-2` for the second one of its kind. */
  readonly name: string;
  readonly on: ReadonlySet<NoticeKind>;
  /** Its code is loaded when it is first used. */
  open(): Promise<Pick<Notifier, "send">>;
}

/** A version of the configuration that does not check, while an older one stays in use. */
export interface RefusedConfig {
  /** Stands for its text. */
  readonly version: string;
  /** What is wrong, by key and without values. */
  readonly problems: readonly string[];
}

/** How long one invocation may go on; what is left then goes to another one. */
export interface Budget {
  /** On the monotonic clock, ms. */
  readonly endsMs: number;
  /** The process is about to stop: what is left goes to another one at once. */
  readonly stopping?: AbortSignal;
}

/** Time that an invocation spends verifying or waiting at most, ms. */
const invocationBudgetMs = 20_000;

export function newBudget(clock: Clock, stopping?: AbortSignal): Budget {
  return { endsMs: clock.monotonic() + invocationBudgetMs, ...(stopping === undefined ? {} : { stopping }) };
}

export function leftMs(budget: Budget, clock: Clock): number {
  return budget.stopping?.aborted ? 0 : Math.max(0, budget.endsMs - clock.monotonic());
}

/** One look, and nobody is asked to go on: somebody else has this work, most likely. */
export const glance: Budget = { endsMs: 0 };

export function isGlance(budget: Budget): boolean {
  return budget.endsMs === 0;
}
