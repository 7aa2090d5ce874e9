import type { Container, Workload } from "../domain/workload.ts";
import { isTargetTrouble, messageOf } from "../errors.ts";
import type { FlowDeps, FlowTarget } from "./deps.ts";
import type { Question, Questions } from "./drift-questions.ts";

/** A target's list, as far as it is needed to the end: it may have 100,000 workloads. */
export interface Listed {
  readonly at: FlowTarget;
  /** Those with a container that Landfall may deploy, by id. */
  readonly workloads: ReadonlyMap<string, Workload>;
  /** Ids of the others. */
  readonly unmanaged: ReadonlySet<string>;
  /** All that is followed there. */
  readonly references: ReadonlyMap<string, Question>;
  /** What these workloads of it follow. */
  followed(workloads: readonly string[]): readonly Question[];
}

export interface Lists {
  readonly listed: readonly Listed[];
  /** Targets that could not be listed, and why. */
  readonly troubles: readonly string[];
}

/** Lists targets before a registry is asked: what was deployed after that is never taken for drift. */
export async function listTargets(
  deps: FlowDeps,
  targets: readonly string[] | undefined,
  questions: Questions,
): Promise<Lists> {
  const chosen = deps.targets.filter(({ target }) => targets?.includes(target.name) ?? true);
  const shared = sharing();
  const lists = await Promise.all(
    chosen.map(async (at) => {
      try {
        const all = await deps.recorder.step("target.list", () => at.target.list());
        return { listed: [sorted(at, all, questions, shared)], troubles: [] };
      } catch (error) {
        if (!isTargetTrouble(error)) throw error;
        return { listed: [], troubles: [`${at.target.name}: ${messageOf(error)}`] };
      }
    }),
  );
  return {
    listed: lists.flatMap(({ listed }) => listed),
    troubles: lists.flatMap(({ troubles }) => troubles),
  };
}

function sorted(
  at: FlowTarget,
  all: readonly Workload[],
  questions: Questions,
  shared: ReturnType<typeof sharing>,
): Listed {
  const workloads = new Map<string, Workload>();
  const unmanaged = new Set<string>();
  const references = new Map<string, Question>();
  for (const workload of all) {
    const follows = workload.containers.map((container) => questions(workload, container));
    if (follows.every(({ kind }) => kind === "unmanaged")) {
      unmanaged.add(workload.id);
      continue;
    }
    workloads.set(workload.id, shared(workload));
    for (const each of follows) if (each.kind === "asks") references.set(each.question.key, each.question);
  }
  const followed = (ids: readonly string[]) =>
    ids.flatMap((id) => {
      const workload = workloads.get(id);
      if (workload === undefined) return [];
      return workload.containers.flatMap((container) => {
        const follows = questions(workload, container);
        return follows.kind === "asks" ? [follows.question] : [];
      });
    });
  return { at, workloads, unmanaged, references, followed };
}

/** Workloads without what only writes need, and with one object for all containers alike. */
function sharing(): (workload: Workload) => Workload {
  const containers = new Map<string, Container>();
  const share = (container: Container): Container => {
    const key = `${container.name} ${container.image}`;
    const known = containers.get(key);
    if (known !== undefined) return known;
    containers.set(key, container);
    return container;
  };
  return (workload) => ({ ...workload, containers: workload.containers.map(share), raw: undefined });
}
