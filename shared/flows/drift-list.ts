import type { Container, Standing, Workload } from "../domain/workload.ts";
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

/**
 * Lists targets before a registry is asked: what was deployed after that is never taken for drift. One after the other, so
 * that what is not needed of a list is dropped before the next one comes.
 */
export async function listTargets(
  deps: FlowDeps,
  targets: readonly string[] | undefined,
  questions: Questions,
): Promise<Lists> {
  const chosen = deps.targets.filter(({ target }) => targets?.includes(target.name) ?? true);
  const shared = sharing();
  const listed: Listed[] = [];
  const troubles: string[] = [];
  for (const at of chosen) {
    try {
      const all = await deps.recorder.step("target.list", () => at.target.list());
      listed.push(sorted(at, all, questions, shared));
    } catch (error) {
      if (!isTargetTrouble(error)) throw error;
      troubles.push(`${at.target.name}: ${messageOf(error)}`);
    }
  }
  return { listed, troubles };
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

/** Workloads without what only writes need, and with one object for all that is alike: there may be 100,000 of them. */
function sharing(): (workload: Workload) => Workload {
  const images = new Map<string, Container>();
  const share = ({ name, image, reference }: Container): Container => {
    const known = images.get(image);
    if (known === undefined) {
      const first: Container = { name, image, ...(reference === undefined ? {} : { reference }) };
      images.set(image, first);
      return first;
    }
    // A Swarm service's container has its service's name.
    return known.name === name ? known : { ...known, name };
  };
  const platformsOf = new Map<string, NonNullable<Workload["platforms"]>>();
  const sharePlatforms = (platforms: NonNullable<Workload["platforms"]>) => {
    const key = JSON.stringify(platforms);
    const known = platformsOf.get(key) ?? platforms;
    platformsOf.set(key, known);
    return known;
  };
  return ({ platforms, standing, settings, misplacedSettings: _, ...workload }) => ({
    ...workload,
    containers: workload.containers.map(share),
    settings: Object.keys(settings).length === 0 ? none : settings,
    misplacedSettings: nothing,
    ...(platforms === undefined ? {} : { platforms: sharePlatforms(platforms) }),
    ...(standing === undefined || isWhole(standing) ? {} : { standing }),
    raw: undefined,
  });
}

const none: Workload["settings"] = {};
const nothing: Workload["misplacedSettings"] = [];

/** Of what is as it should be, there is nothing to be said. */
function isWhole({ wanted, running, outdated, unobserved }: Standing): boolean {
  return running >= wanted && outdated === undefined && unobserved === undefined;
}
