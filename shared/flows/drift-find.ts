import { type DriftDecision, decideDrift, type Recorded, restrained } from "../decide/drift.ts";
import type { Observed } from "../decide/push.ts";
import { asFollowed } from "../decide/way-back.ts";
import { type Digest, parseReference } from "../domain/reference.ts";
import type { Container, Workload } from "../domain/workload.ts";
import type { Stored, WorkloadDocument } from "../ledger/ledger.ts";
import type { FlowDeps, FlowTarget } from "./deps.ts";
import type { Wish } from "./drift-look.ts";
import type { Proof, Prover } from "./drift-prove.ts";
import type { Question, Questions } from "./drift-questions.ts";
import { knownOf } from "./plan.ts";

type Decided = Exclude<DriftDecision, { readonly kind: "unrelated" }>;

/** What a full run found of one workload and one thing that some of its containers follow. */
export interface Found {
  readonly workload: Workload;
  readonly containers: readonly Container[];
  readonly seen?: Observed;
  readonly decision: Decided;
  /** What its containers run, as whole references where that is known. */
  readonly running: Readonly<Record<string, string>>;
  /** What is on record of it, as far as it is needed once all were compared. */
  readonly known: Pick<WorkloadDocument, "deployed" | "repairs">;
}

/** What all workloads of a target are compared by. */
export interface Comparison {
  readonly at: FlowTarget;
  readonly questions: Questions;
  /** What is wanted; of what no list names, because a workload was led away from its tag, it is asked now. */
  readonly wishOf: (question: Question) => Wish | Promise<Wish>;
  readonly prove: Prover;
  /** Repositories; absent: all. */
  readonly images: readonly string[] | undefined;
  readonly adopt: boolean;
  readonly nowMs: number;
}

/** What each container of a workload runs, beside what it is to run. Containers that follow the same thing go together. */
export async function findDrift(
  deps: FlowDeps,
  comparison: Comparison,
  listed: Workload,
  stored: Stored<"workloads"> | undefined,
): Promise<readonly Found[]> {
  const { deployed, repairs, detours } = stored?.value ?? {};
  const workload = asFollowed(listed, detours);
  const known = {
    ...(deployed === undefined ? {} : { deployed }),
    ...(repairs === undefined ? {} : { repairs }),
  };
  const running = Object.fromEntries(workload.containers.map(({ name, image }) => [name, image]));
  const found: Found[] = [];
  for (const { containers, wish, skipped } of await groupsOf(comparison, workload)) {
    const facts = { workload, containers, running, known };
    if (skipped !== undefined) {
      found.push({ ...facts, decision: { kind: "skipped", reason: skipped } });
    } else if (wish?.kind === "unknown") {
      const { reason, detail } = wish;
      found.push({ ...facts, decision: { kind: "unknown", to: {}, reason, detail } });
    } else if (wish?.kind === "wanted") {
      const { seen } = wish;
      const isPinned = containers.every(({ reference }) => reference?.digest !== undefined);
      const proven = isPinned
        ? { workload }
        : await provenBy(comparison, workload, containers, seen, stored?.value);
      const decision = decide(deps, comparison, proven, wish, stored?.value);
      if (decision === undefined) continue;
      found.push({ ...facts, seen, decision, running: { ...running, ...proven.images } });
    }
  }
  return found;
}

interface Group {
  readonly containers: Container[];
  readonly wish?: Wish | undefined;
  readonly skipped?: (Decided & { kind: "skipped" })["reason"];
}

async function groupsOf(
  { questions, wishOf, images }: Comparison,
  workload: Workload,
): Promise<readonly Group[]> {
  const groups = new Map<string, Group>();
  for (const container of workload.containers) {
    const repository = container.reference?.repository;
    if (images !== undefined && (repository === undefined || !images.includes(repository))) continue;
    const follows = questions(workload, container);
    if (follows.kind === "unmanaged") continue;
    const isAsked = follows.kind === "asks";
    const wish = isAsked ? await wishOf(follows.question) : undefined;
    const key = isAsked
      ? wish?.kind === "wanted"
        ? `${wish.seen.repository}:${wish.seen.tag} ${wish.seen.line}`
        : follows.question.key
      : `? ${follows.reason}`;
    const group = groups.get(key) ?? {
      containers: [],
      ...(isAsked ? { wish } : { skipped: follows.reason }),
    };
    group.containers.push(container);
    groups.set(key, group);
  }
  return [...groups.values()];
}

interface Proven {
  /** As if its definition named the digests that its tasks prove. */
  readonly workload: Workload;
  readonly images?: Readonly<Record<string, string>>;
  readonly unknown?: Proof & { kind: "unknown" };
}

async function provenBy(
  { prove }: Comparison,
  workload: Workload,
  containers: readonly Container[],
  seen: Observed,
  document: WorkloadDocument | undefined,
): Promise<Proven> {
  const baseline = baselineOf(document);
  const images: Record<string, string> = {};
  let unknown: Proven["unknown"];
  const proven = await Promise.all(
    workload.containers.map(async (container) => {
      const { name, image, reference } = container;
      if (reference === undefined || reference.digest !== undefined || !containers.includes(container)) {
        return container;
      }
      const known = [seen.digest, document?.deployed?.[name], baseline[name]];
      const candidates = known.filter((each) => each !== undefined);
      const proof = await prove(workload, container, seen.repository, candidates);
      if (proof.kind === "unknown") {
        unknown ??= proof;
        return container;
      }
      images[name] = `${image}@${proof.digest}`;
      return { ...container, reference: { ...reference, digest: proof.digest } };
    }),
  );
  return {
    workload: { ...workload, containers: proven },
    images,
    ...(unknown === undefined ? {} : { unknown }),
  };
}

function decide(
  deps: FlowDeps,
  { at, adopt, nowMs }: Comparison,
  { workload, unknown }: Proven,
  { seen, hold }: Wish & { kind: "wanted" },
  document: WorkloadDocument | undefined,
): Decided | undefined {
  const rules = { rule: deps.rule(seen.repository), mode: at.mode };
  const decision = decideDrift({ heardMs: nowMs, ...seen }, workload, recordedOf(document, nowMs), rules);
  if (decision.kind === "unrelated") return undefined;
  if (decision.kind === "unknown" && unknown !== undefined) return { ...decision, ...unknown };
  const { repairs } = document ?? {};
  const facts = {
    nowMs,
    adopt,
    ...(hold === undefined ? {} : { hold }),
    ...(repairs === undefined ? {} : { repairs }),
  };
  const left = restrained(decision, seen.digest, facts);
  return left.kind === "unrelated" ? undefined : left;
}

function recordedOf(document: WorkloadDocument | undefined, nowMs: number): Recorded {
  return {
    ...knownOf(document, nowMs),
    baseline: baselineOf(document),
    ...(document?.baselineWanted === undefined ? {} : { baselineWanted: document.baselineWanted }),
  };
}

function baselineOf(document: WorkloadDocument | undefined): Readonly<Record<string, Digest>> {
  const digests = Object.entries(document?.baseline ?? {}).flatMap(([name, image]) => {
    const read = parseReference(image);
    const digest = read.kind === "reference" ? read.reference.digest : undefined;
    return digest === undefined ? [] : [[name, digest] as const];
  });
  return Object.fromEntries(digests);
}
