import { parseReference, printReference, type Reference } from "../../domain/reference.ts";
import type { Container, Workload } from "../../domain/workload.ts";
import type { Change } from "../target.ts";
import { annotationsOf } from "./annotations.ts";
import type { Kind } from "./kinds.ts";
import type { RawWorkload } from "./map.ts";

/** Lists are merged by `name`: what is not named stays. A plain merge patch would replace them whole. */
export const mergePatch = "application/strategic-merge-patch+json";

/**
 * One patch that brings all containers of a change to their images, on the version that was read. The caller has
 * checked that the workload has them: the API would add what it does not know.
 */
export function patchOf(kind: Kind, workload: Workload, change: Change): string {
  const { initContainers } = workload.raw as RawWorkload;
  const changed = workload.containers.flatMap((container) => {
    const wanted = change.images[container.name];
    return wanted === undefined ? [] : [{ name: container.name, image: spell(container, wanted) }];
  });
  const init = changed.filter(({ name }) => initContainers.includes(name));
  const main = changed.filter(({ name }) => !initContainers.includes(name));
  const template = {
    spec: {
      ...(main.length === 0 ? {} : { containers: main }),
      ...(init.length === 0 ? {} : { initContainers: init }),
    },
  };
  return JSON.stringify({
    metadata: { resourceVersion: workload.version, annotations: annotationsOf(change) },
    spec: kind === "cronjob" ? { jobTemplate: { spec: { template } } } : { template },
  });
}

/** The containers of a change that run something else in `after` than they were sent, e.g. `web to acme/web:v1`. */
export function rewrittenIn(after: Workload, change: Change): readonly string[] {
  return Object.entries(change.images).flatMap(([name, sent]) => {
    const found = after.containers.find((container) => container.name === name);
    const same = found?.reference !== undefined && found.reference.digest === sent.digest;
    return same ? [] : [`${name} to ${found?.image ?? "nothing"}`];
  });
}

/** The name as it is spelled there: some nodes know short names by an alias of their own. */
function spell({ image, reference }: Container, wanted: Reference): string {
  if (reference?.repository !== wanted.repository) return printReference(wanted);
  const name = image.replace(/@.*$/, "").replace(/:[^:/]*$/, "");
  const parsed = parseReference(name);
  if (parsed.kind !== "reference" || parsed.reference.repository !== wanted.repository) {
    return printReference(wanted);
  }
  const tag = wanted.tag === undefined ? "" : `:${wanted.tag}`;
  const digest = wanted.digest === undefined ? "" : `@${wanted.digest}`;
  return `${name}${tag}${digest}`;
}
