import type { Digest } from "../../shared/domain/reference.ts";
import type { OpenState, Rollout } from "../../shared/domain/rollout.ts";
import { workloadId } from "../../shared/domain/workload.ts";
import type { ImageDocument } from "../../shared/ledger/image-document.ts";
import type {
  EventDocument,
  OpenRollout,
  RefDocument,
  WorkloadDocument,
} from "../../shared/ledger/ledger.ts";

/** No store may delete what expires only then. */
export const farAwayMs = Date.UTC(2100, 0);

/** Small, valid documents; a test changes what it is about. */
export function refDocument(change: Partial<RefDocument> = {}): RefDocument {
  return {
    repository: "docker.io/acme/web",
    tag: "v1",
    generation: 0,
    earlier: [],
    dirty: false,
    ...change,
  };
}

export function imageDocument(change: Partial<ImageDocument> = {}): ImageDocument {
  return { repository: "docker.io/acme/web", planned: 0, channels: {}, builds: [], ...change };
}

export function workloadDocument(change: Partial<WorkloadDocument> = {}): WorkloadDocument {
  const { target = "swarm-prod", name = "web" } = change;
  return { workload: workloadId(target, name), target, name, seq: 0, wanted: {}, holds: [], ...change };
}

export function openRollout(state: OpenState, plannedMs: number, dueMs = plannedMs): OpenRollout {
  return {
    seq: 1,
    state,
    cause: { kind: "push", event: "e-1" },
    from: {},
    to: {},
    times: { planned: plannedMs },
    attempts: 0,
    config: "c0ffee",
    dueMs,
  };
}

export function rollout(change: Partial<Rollout> = {}): Rollout {
  return {
    workload: "swarm-prod/web",
    seq: 1,
    state: "planned",
    cause: { kind: "push", event: "e-1" },
    from: { web: "acme/web:v1" },
    to: {},
    times: { planned: 1_000 },
    config: "c0ffee",
    ...change,
  };
}

export function eventDocument(change: Partial<EventDocument> = {}): EventDocument {
  return {
    state: "received",
    heardMs: 1_000,
    verdicts: [],
    more: 0,
    looks: 0,
    expireMs: farAwayMs,
    ...change,
  };
}

/** An event of a push to `repository:tag` on Docker Hub, e.g. `acme/web` and `v1`. */
export function pushEvent(
  repository: string,
  tag: string,
  change: Partial<EventDocument> = {},
): EventDocument {
  return eventDocument({ push: { source: "native", registry: "docker.io", repository, tag }, ...change });
}

export function digestOf(fill: string): Digest {
  return `sha256:${fill.padEnd(64, "0")}`;
}
