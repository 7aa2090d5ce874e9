import { systemClock } from "../../../shared/clock.ts";
import { type FlowDeps, newBudget } from "../../../shared/flows/deps.ts";
import { fullRun } from "../../../shared/flows/full-run.ts";
import { plainRecorder } from "../../../shared/flows/recorder.ts";
import { embeddedLedger } from "../../../shared/ledger/embedded.ts";
import { silentLog } from "../../../shared/log.ts";
import { ociRegistry } from "../../../shared/registry/oci/oci-registry.ts";
import { kubernetesTarget } from "../../../shared/targets/kubernetes/kubernetes.ts";
import { create as swarmTarget } from "../../../shared/targets/swarm/swarm.ts";
import { fixed } from "../../targets/small-cluster.ts";

/** What one full run took, in a process of its own. */
export interface RunWord {
  readonly counts: Readonly<Record<string, number>>;
  /** What could not be asked: there is to be nothing. */
  readonly troubles: readonly string[];
  readonly tookMs: number;
  /** User and system time of the process, its start left out. */
  readonly cpuMs: number;
  readonly startMiB: number;
  readonly peakMiB: number;
}

/** LEDGER REGISTRY TARGET…, forked: one full run over two Swarms and two clusters. */
const [file = "", registry = "", ...hosts] = process.argv.slice(2);
const targets = hosts.map((host, n) =>
  n < 2
    ? swarmTarget(
        { name: `swarm-${n}`, kind: "swarm", host: `tcp://${host}` },
        {
          secret: () => () => "",
          pullCredentials: () => undefined,
        },
      )
    : kubernetesTarget({
        name: `cluster-${n}`,
        namespaces: ["bench"],
        access: fixed({ server: `http://${host}`, headers: {} }),
      }),
);
const ledger = embeddedLedger(file, systemClock);
let ids = 0;
const deps: FlowDeps = {
  ledger,
  bus: { publish: async () => {} },
  registry: ociRegistry({ registries: [{ host: registry, plainHttp: true }], clock: systemClock }),
  history: {
    order: async () => {
      throw new Error("nobody asks for an order");
    },
  },
  targets: targets.map((target) => ({ target, mode: "act" })),
  follows: () => true,
  rule: () => ({ channels: [], policy: { kind: "tag" }, ignores: () => false }),
  verify: { timeoutMs: 600_000, stableForMs: 15_000 },
  frozenUntil: () => undefined,
  rollback: true,
  maxParallel: 4,
  maxDriftShare: 0.2,
  configHash: "bench",
  notifiers: [],
  clock: systemClock,
  log: silentLog,
  newId: () => `${process.pid}-${++ids}`,
  random: Math.random,
  recorder: plainRecorder,
};
const peakMiB = () => process.resourceUsage().maxRSS / 1024;
const startMiB = peakMiB();
const before = process.cpuUsage();
const fromMs = performance.now();
const done = await fullRun(deps, { dryRun: false, adopt: false, by: "bench" }, newBudget(systemClock));
if (done.kind === "busy") throw new Error("another run is under way");
const { user, system } = process.cpuUsage(before);
const word: RunWord = {
  counts: done.report.counts,
  troubles: done.report.troubles,
  tookMs: performance.now() - fromMs,
  cpuMs: (user + system) / 1_000,
  startMiB,
  peakMiB: peakMiB(),
};
process.send?.(word, () => process.exit(0));
