import { printReference } from "../../domain/reference.ts";
import type { Change } from "../target.ts";

/** The fence. On the workload, as all of these: on the pod template it would replace the pods. */
export const seqAnnotation = "landfall.seq";
const whatAnnotation = "landfall.what";
const whenAnnotation = "landfall.when";
const whyAnnotation = "landfall.why";
/** Copied to the new revision, where `kubectl rollout history` shows it. */
const causeAnnotation = "kubernetes.io/change-cause";

/** Those under our prefix that are no settings. */
export const ownAnnotations: readonly string[] = [
  seqAnnotation,
  whatAnnotation,
  whenAnnotation,
  whyAnnotation,
];

/** What a change leaves on the workload for whoever looks at it; `null` takes away what an earlier one left. */
export function annotationsOf({ seq, images, note }: Change): Readonly<Record<string, string | null>> {
  const what = Object.entries(images)
    .map(([name, image]) => `${name}=${printReference(image)}`)
    .join(" ");
  const why = note === undefined ? "" : ` (${note.why})`;
  return {
    [seqAnnotation]: String(seq),
    [whatAnnotation]: what,
    [whenAnnotation]: note === undefined ? null : new Date(note.atMs).toISOString(),
    [whyAnnotation]: note?.why ?? null,
    [causeAnnotation]: `landfall ${seq}: ${what}${why}`,
  };
}
