import type { Explanation } from "./reasons.ts";

/**
 * What a full run finds of a container, what needs somebody first. The names are stable: they are recorded, and scripts
 * read them. A container that is let be for a reason of its own is `skipped`, with that reason.
 */
export const driftVerdicts = {
  guarded: {
    sentence:
      "It is behind, and so is too much else at its target without any event: nothing is deployed there.",
    next: "Look at the plan; the command above deploys it.",
  },
  "changed-outside": {
    sentence: "Somebody else brought it to what it runs, and it is left as it is.",
    next: "`landfall reconcile --adopt --workload WORKLOAD` brings it to what is wanted; a push of something new does too.",
  },
  missing: {
    sentence: "Landfall deployed it, and it is no longer at its target.",
    next: "Nothing to do if it was removed on purpose; Landfall creates nothing.",
  },
  unknown: {
    sentence: "Nobody can tell what it runs or what it is to run, so nothing is deployed.",
    next: "Mend what could not be asked, or let its image be named with a tag and a digest.",
  },
  missed: {
    sentence: "It runs what was deployed last, and something else is wanted by now: an event got lost.",
    next: "",
  },
  new: {
    sentence: "Landfall has deployed nothing there yet: what runs is where it begins, and is left as it is.",
    next: "The next push of its tag is deployed; `landfall reconcile --adopt --workload WORKLOAD` does not wait for one.",
  },
  "would-roll-out": {
    sentence: "It is behind, and its target is in `mode: observe`: nothing is deployed there.",
    next: "Set `mode: act` on the target when Landfall may deploy there.",
  },
  differs: {
    sentence: "Its definition names what is wanted, but some of its tasks still run what it named before.",
    next: "Look at it at its target: an update is under way there, or stands still.",
  },
  stale: {
    sentence:
      "Its definition names what is wanted, but its target has not looked at it since it was changed.",
    next: "If it stays so, look whether the cluster's controllers work.",
  },
  degraded: {
    sentence: "It runs what is wanted, with fewer tasks than it is to have.",
    next: "Look at it at its target: nothing has to be deployed.",
  },
  skipped: { sentence: "It is let be.", next: "" },
  rolling: { sentence: "A rollout to what is wanted is under way.", next: "" },
  "in-sync": { sentence: "It runs what is wanted.", next: "" },
} as const satisfies Readonly<Record<string, Explanation>>;

export type DriftVerdict = keyof typeof driftVerdicts;

function isDriftVerdict(name: string): name is DriftVerdict {
  return Object.hasOwn(driftVerdicts, name);
}

/** `undefined` for a name of another version. */
export function explainDrift(name: string): Explanation | undefined {
  return isDriftVerdict(name) ? driftVerdicts[name] : undefined;
}
