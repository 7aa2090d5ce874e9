import { printReference } from "../../shared/domain/reference.ts";
import type { Workload } from "../../shared/domain/workload.ts";
import type { FlowDeps } from "../../shared/flows/deps.ts";
import type { Target } from "../../shared/targets/target.ts";

export interface PreviousOnly {
  /** What was written, with the tag that was asked for, e.g. `web v1`, or `web back`; each restarts every task. */
  readonly writes: readonly string[];
  /** Puts it between a process and its targets. */
  readonly around: (deps: FlowDeps) => FlowDeps;
}

/**
 * Targets as a Swarmpit has them: they resolve a tag by themselves, have no fence, and go back only to what their newest
 * write replaced. What they know outlives every process.
 * @param isTouched whether somebody else writes all the time, so that nobody knows what is before
 */
export function previousOnly(isTouched = false): PreviousOnly {
  const writes: string[] = [];
  const forced = new Map<string, number>();
  const previous = new Map<string, { readonly workload: Workload; readonly force: number }>();

  const shown = (workload: Workload): Workload => {
    const force = forced.get(workload.name) ?? 0;
    const now = isTouched ? `${force} touched` : String(force);
    return { ...workload, fence: 0, stamp: { now, next: String(force + 1) } };
  };

  const around = (target: Target, registry: FlowDeps["registry"]): Target => {
    const write = async (workload: Workload, to: Workload, force: number) => {
      const { name } = workload;
      const reference = to.containers[0]?.reference;
      if (reference === undefined) return { kind: "refused", message: "no such image" } as const;
      const outcome = await target.update(workload, {
        seq: writes.length + 1,
        images: { [name]: reference },
      });
      if (outcome.kind !== "accepted") return outcome;
      previous.set(name, { workload, force: forced.get(name) ?? 0 });
      forced.set(name, force);
      return outcome;
    };
    return {
      ...target,
      capabilities: { pins: false, fences: false, rollsBackTo: "previous" },
      list: async () => (await target.list()).map(shown),
      get: async (name) => {
        const found = await target.get(name);
        return found && shown(found);
      },
      look: async (name) => {
        const look = await target.look(name);
        return look && { ...look, workload: shown(look.workload) };
      },
      async update(workload, { images }) {
        const { name } = workload;
        const asked = images[name];
        if (asked?.tag === undefined) return { kind: "refused", message: "no tag" };
        const head = await registry.head(asked.repository, asked.tag);
        if (head === undefined) return { kind: "refused", message: "no such tag" };
        const reference = { ...asked, digest: head.digest };
        const image = printReference(reference);
        const to = { ...workload, containers: [{ name, image, reference }] };
        const outcome = await write(workload, to, (forced.get(name) ?? 0) + 1);
        if (outcome.kind === "accepted") writes.push(`${name} ${asked.tag}`);
        return outcome;
      },
      async goBack(workload) {
        const before = previous.get(workload.name);
        if (before === undefined) return { kind: "refused", message: "nothing to go back to" };
        const outcome = await write(workload, before.workload, before.force);
        if (outcome.kind === "accepted") writes.push(`${workload.name} back`);
        return outcome;
      },
    };
  };
  return {
    writes,
    around: (deps) => ({
      ...deps,
      targets: deps.targets.map((at) => ({ ...at, target: around(at.target, deps.registry) })),
    }),
  };
}
