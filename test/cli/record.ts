import type { ImageBuild } from "../../shared/domain/build.ts";
import type { Commit } from "../../shared/domain/commit.ts";
import type { ImagePush } from "../../shared/domain/push.ts";
import type { Digest, Repository } from "../../shared/domain/reference.ts";
import type { Rollout } from "../../shared/domain/rollout.ts";
import type { WorkloadId } from "../../shared/domain/workload.ts";
import { embeddedLedger } from "../../shared/ledger/embedded.ts";
import type { Built, Channel, ImageDocument } from "../../shared/ledger/image-document.ts";
import type { EventDocument, Ledger, Verdict, WorkloadDocument, Write } from "../../shared/ledger/ledger.ts";
import { refId, rolloutId } from "../../shared/ledger/ledger.ts";
import type { DriftRow, LeaseDocument, ReportDocument } from "../../shared/ledger/report-document.ts";

/** Where all times of these tests are counted from. */
export const startMs = Date.UTC(2026, 10, 22, 2, 0, 0);
export const web: Repository = "docker.io/acme/web";

export function digest(letter: string): Digest {
  return `sha256:${letter.repeat(64)}`;
}

export function push(tag: string, change: Partial<ImagePush> = {}): ImagePush {
  return {
    source: "dockerhub",
    registry: "docker.io",
    repository: "acme/web",
    tag,
    pusher: "ada",
    ...change,
  };
}

export function event(
  tag: string,
  verdicts: readonly Verdict[],
  change: Partial<EventDocument> = {},
): EventDocument {
  return {
    state: "done",
    push: push(tag),
    heardMs: startMs,
    outcome: "observed",
    digest: digest("b"),
    generation: 2,
    observedMs: startMs + 100,
    verdicts,
    more: 0,
    looks: 0,
    expireMs: startMs + 90 * 86_400_000,
    ...change,
  };
}

export function rollout(workload: WorkloadId, seq: number, change: Partial<Rollout> = {}): Rollout {
  return {
    workload,
    seq,
    state: "succeeded",
    cause: { kind: "push", event: "event-1", by: "ada" },
    from: { web: `acme/web:v1@${digest("a")}` },
    to: { web: { repository: web, tag: "v1", digest: digest("b"), generation: 2 } },
    times: {
      heard: startMs,
      observed: startMs + 100,
      planned: startMs + 200,
      applying: startMs + 210,
      accepted: startMs + 500,
      finished: startMs + 17_100,
    },
    config: "0123456789ab",
    ...change,
  };
}

export function workload(
  id: WorkloadId,
  seq: number,
  change: Partial<WorkloadDocument> = {},
): WorkloadDocument {
  const [target = "", ...name] = id.split("/");
  const { to, from } = rollout(id, seq);
  return {
    workload: id,
    target,
    name: name.join("/"),
    seq,
    wanted: to,
    deployed: { web: digest("b") },
    lastGood: { web: `acme/web:v1@${digest("b")}` },
    baseline: from,
    holds: [],
    ...change,
  };
}

/** A workload in the middle of rollout 4. */
export function underWay(id: WorkloadId): WorkloadDocument {
  const { cause, from, to } = rollout(id, 4);
  return workload(id, 4, {
    deployed: { web: digest("a") },
    open: {
      seq: 4,
      state: "verifying",
      cause,
      from,
      to,
      times: { heard: startMs, planned: startMs + 200, accepted: startMs + 500 },
      attempts: 1,
      note: "1 of 2 tasks run",
      dueMs: startMs + 80_000,
      config: "0123456789ab",
    },
  });
}

/** The commit that is one letter forty times. */
export function commit(letter: string): Commit {
  return letter.repeat(40) as Commit;
}

/** A build of the commit of that letter, under its tag; its digest has the same letter. */
export function built(letter: string, change: Partial<Built> = {}): Built {
  return {
    commit: commit(letter),
    tag: commit(letter),
    digest: digest(letter),
    event: `build-${letter}`,
    ...change,
  };
}

/** The event of such a build. */
export function buildEvent(
  letter: string,
  outcome: string,
  change: Partial<EventDocument> = {},
  build: Partial<ImageBuild> = {},
): EventDocument {
  const { push: _, generation: _generation, ...rest } = event(commit(letter), [], { outcome, ...change });
  const named = { image: web, tag: commit(letter), commit: commit(letter), digest: digest(letter) };
  return { ...rest, digest: digest(letter), build: { kind: "build", ...named, branch: "main", ...build } };
}

/** A channel that got its digest a minute after the start, and whose workloads have their plans. */
export function channel(letter: string, change: Partial<Channel> = {}): Channel {
  return {
    promoted: built(letter),
    promotedMs: startMs + 60_000,
    generation: 3,
    planned: 3,
    head: 7,
    unsettled: [],
    ...change,
  };
}

/** An image whose head is the build `c`; `b` and `a` came before it. */
export function image(
  channels: ImageDocument["channels"],
  change: Partial<ImageDocument> = {},
): ImageDocument {
  const head = { ...built("c"), commit: commit("c"), generation: 7, acceptedMs: startMs + 30_000 };
  return {
    repository: web,
    head,
    planned: 7,
    channels,
    builds: [built("a"), built("c"), built("b")],
    ...change,
  };
}

export interface Content {
  readonly images?: readonly ImageDocument[];
  readonly workloads?: readonly WorkloadDocument[];
  readonly rollouts?: readonly Rollout[];
  readonly events?: Readonly<Record<string, EventDocument>>;
  readonly refs?: Readonly<Record<string, Digest>>;
  /** The last full run. */
  readonly report?: { readonly report: ReportDocument; readonly rows: readonly DriftRow[] };
  /** Plans that wait for an approval. */
  readonly waiting?: LeaseDocument["guarded"];
  /** Who is at a full run now. */
  readonly holder?: LeaseDocument["holder"];
}

/** A ledger with this in it. */
export async function ledgerOf(content: Content): Promise<Ledger> {
  const clock = { now: () => startMs, monotonic: () => 0, sleep: async () => {} };
  const ledger = embeddedLedger(":memory:", clock);
  const writes: readonly Write[] = [
    ...(content.workloads ?? []).map(
      (value): Write => ({ collection: "workloads", id: value.workload, value, expect: 0 }),
    ),
    ...(content.images ?? []).map(
      (value): Write => ({ collection: "images", id: value.repository, value, expect: 0 }),
    ),
    ...(content.rollouts ?? []).map(
      (value): Write => ({
        collection: "rollouts",
        id: rolloutId(value.workload, value.seq),
        value,
        expect: 0,
      }),
    ),
    ...Object.entries(content.events ?? {}).map(
      ([id, value]): Write => ({ collection: "events", id, value, expect: 0 }),
    ),
    ...Object.entries(content.refs ?? {}).map(
      ([tag, named]): Write => ({
        collection: "refs",
        id: refId(web, tag),
        value: {
          repository: web,
          tag,
          digest: named,
          generation: 2,
          observedMs: startMs + 100,
          earlier: [digest("a")],
          dirty: false,
        },
        expect: 0,
      }),
    ),
    ...reportWrites(content),
  ];
  await ledger.commit("test", writes);
  return ledger;
}

const rowsPerChunk = 2;

function reportWrites({ report: last, holder, waiting }: Content): readonly Write[] {
  const lease = {
    ...(holder === undefined ? {} : { holder }),
    ...(last === undefined ? {} : { report: "drift-1" }),
    ...(waiting === undefined ? {} : { guarded: waiting }),
  };
  const turn: Write = { collection: "leases", id: "full-run", value: lease, expect: 0 };
  if (last === undefined) return holder === undefined ? [] : [turn];
  const { report, rows } = last;
  const chunks = Math.ceil(rows.length / rowsPerChunk);
  const parts = Array.from({ length: chunks }, (_, chunk): Write => {
    const value = { ...report, chunks, rows: rows.slice(chunk * rowsPerChunk, (chunk + 1) * rowsPerChunk) };
    return { collection: "reports", id: `drift-1/${chunk}`, value, expect: 0 };
  });
  return [turn, { collection: "reports", id: "drift-1", value: { ...report, chunks }, expect: 0 }, ...parts];
}
