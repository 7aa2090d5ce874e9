import { setTimeout as pause } from "node:timers/promises";
import { inject, onTestFinished } from "vitest";
import type { Rollout } from "../../shared/domain/rollout.ts";
import type { EventDocument, Ledger, WorkloadDocument } from "../../shared/ledger/ledger.ts";
import type { SampleDelivery } from "../deliveries.ts";
import { startFromFolders } from "./from-folders.ts";
import { startFromSources } from "./from-sources.ts";
import { testbed } from "./testbed.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Where the built functions are, installed; absent: Landfall is started from its sources. */
    readonly folders?: string;
  }
}

export interface LandfallOptions {
  /** What `landfall.yaml` says; written as JSON, which is YAML too. */
  readonly config: object;
  /** Variables that the configuration names as `${NAME}`. */
  readonly env?: Readonly<Record<string, string>>;
  /** Of one that runs from its sources; default: a file in its own folder. */
  readonly ledger?: {
    /** What `LANDFALL_LEDGER` says. */
    readonly setting: string;
    readonly open: () => Ledger;
  };
}

/** A Landfall that runs, in processes of its own. */
export interface Running {
  readonly url: string;
  /** The environment of `landfall` on the same machine; empty where it is not the ledger's. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Everything that it has printed. */
  log(): string;
  /** Its ledger, read beside the processes that write it. */
  readonly ledger: Ledger;
  /** How often a test that waits may look into the ledger, ms. */
  readonly pollMs: number;
  /** Stops it, and fails unless it ends as it should; then removes what it wrote. */
  remove(): Promise<void>;
}

/** A Landfall of the test's own: its sources as `npm start` runs them, or what is deployed, as the run was told. */
export interface Landfall extends Omit<Running, "pollMs"> {
  /** Sends a delivery and expects that it is accepted; the id of the event that it became. */
  deliver(delivery: SampleDelivery): Promise<string>;
  rollouts(): Promise<readonly Rollout[]>;
  events(): Promise<readonly EventDocument[]>;
  workloads(): Promise<readonly WorkloadDocument[]>;
  /** Waits until nothing is open and so many rollouts have ended, then returns all of them, oldest first. */
  ended(count: number, withinMs?: number): Promise<readonly Rollout[]>;
}

/** The secret in the path to which the open registry reports its pushes. */
export function notifySecret(): string {
  return decodeURIComponent(new URL(testbed().notifyUrl).pathname.split("/").at(-1) ?? "");
}

/** Has the open registry's reports come to a Landfall, until the test is over. */
export async function hearPushes({ url }: Pick<Landfall, "url">): Promise<void> {
  const listeners = inject("notifications");
  if (listeners === undefined) throw new Error(`nobody passes on what comes to ${testbed().notifyUrl}`);
  await fetch(listeners, { method: "POST", body: url });
  onTestFinished(async () => {
    await fetch(listeners, { method: "DELETE", body: url });
  });
}

/** Starts Landfall and waits until it answers. */
export async function startLandfall(options: LandfallOptions): Promise<Landfall> {
  const folders = inject("folders");
  const running = await (folders === undefined
    ? startFromSources(options)
    : startFromFolders(options, folders));
  const { pollMs, ledger } = running;
  const all = 10_000;
  const landfall: Landfall = {
    ...running,
    async deliver({ path, headers, body }) {
      const answer = await fetch(`${running.url}${path}`, { method: "POST", headers, body });
      const text = await answer.text();
      if (answer.status !== 202) throw new Error(`the delivery was answered ${answer.status} ${text}`);
      return (JSON.parse(text) as { readonly event: string }).event;
    },
    rollouts: async () => (await ledger.rollouts({}, all)).map(({ value }) => value).toReversed(),
    events: async () =>
      (await ledger.events({ nowMs: Date.now() }, all)).map(({ value }) => value).toReversed(),
    workloads: async () => (await ledger.workloads()).map(({ value }) => value),
    async ended(count, withinMs = 60_000) {
      for (const deadline = Date.now() + withinMs; ; await pause(pollMs)) {
        const rollouts = await landfall.rollouts();
        const ended = rollouts.filter(({ times }) => times.finished !== undefined);
        const open = (await landfall.workloads()).filter((workload) => workload.open !== undefined);
        if (ended.length >= count && open.length === 0) return ended;
        if (Date.now() > deadline) {
          throw new Error(
            `${ended.length} of ${count} rollouts ended, ${open.length} workloads are open:\n${running.log()}`,
          );
        }
      }
    },
  };
  return landfall;
}
