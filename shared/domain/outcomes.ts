import type { Explanation } from "./reasons.ts";

/**
 * What came of an event as a whole: a push, a build, an order. The names are stable: they are recorded, and scripts read
 * them. `next` is empty where there is nothing to do.
 */
export const outcomes = {
  observed: { sentence: "The registry was asked, and every workload was judged by its answer.", next: "" },
  guarded: {
    sentence:
      "Too many images moved at once to where nobody says that they were pushed: nothing was deployed.",
    next: "Look whether the registry is right; `landfall reconcile --dry-run` names the fingerprint that approves it.",
  },
  unchanged: {
    sentence: "The registry still named the digest known before.",
    next: "Push again if the tag should have moved.",
  },
  joined: {
    sentence: "Another delivery was asking the registry at that moment and looked once more for this one.",
    next: "See the events heard just before.",
  },
  "not-followed": {
    sentence: "Its repository is not matched by `follow` in the configuration: nothing was looked at.",
    next: "Add the repository to `follow` if Landfall may deploy it.",
  },
  untagged: { sentence: "The push named no tag, so no workload follows it.", next: "" },
  missing: {
    sentence: "The registry does not have the tag.",
    next: "Push the tag again, and check that Landfall asks the registry that you pushed to.",
  },
  "registry-unavailable": {
    sentence: "The registry could not be asked.",
    next: "Landfall asks again by itself; check the registry if this lasts.",
  },
  "registry-denied": {
    sentence: "The registry refused Landfall, or the repository does not exist there.",
    next: "Check `registries` in the configuration: host, username, password.",
  },
  "registry-response": {
    sentence: "The registry's answer made no sense.",
    next: "Check that the host is a registry and that no proxy answers in its place.",
  },
  "target-unavailable": {
    sentence: "A target could not be asked.",
    next: "Landfall asks again by itself; check the target if this lasts.",
  },
  "target-denied": {
    sentence: "A target refused Landfall's credentials or rights.",
    next: "Check that entry of `targets` in the configuration.",
  },
  contended: {
    sentence: "Others changed it at the same moment, again and again.",
    next: "Landfall looks again by itself.",
  },
  undecodable: {
    sentence: "The message could not be read and was set aside.",
    next: "Find it in the dead letters by its id.",
  },

  head: {
    sentence: "Its commit is newer than every one before it: the image's channels and workloads go there.",
    next: "",
  },
  rebuild: {
    sentence: "The newest commit was built once more, with another result, and that is what is deployed now.",
    next: "",
  },
  current: { sentence: "It is the newest build, and was known already.", next: "" },
  superseded: {
    sentence: "A newer commit of its image had been accepted before.",
    next: "",
  },
  "held-back": {
    sentence:
      "Nobody can prove that its commit is newer than what was accepted before, so nothing was deployed.",
    next: "Publish a build of a commit on the branch that contains what runs; if history was rewritten, `landfall accept IMAGE:COMMIT` goes on from there.",
  },
  "unknown-commit": {
    sentence: "The git host does not know its commit yet.",
    next: "Landfall asks again by itself; if this lasts, check that the commit was pushed and that `git.url` is its repository.",
  },
  "no-commit": {
    sentence: "Nothing says which commit it was built from.",
    next: "Publish it with its commit: `landfall publish IMAGE:TAG --commit SHA`.",
  },
  "ignored-tag": {
    sentence: "`ignoreTags` of its image takes its tag for nothing to deploy.",
    next: "Change `ignoreTags` in the configuration if it should be.",
  },
  dirty: {
    sentence: "It was built from changes that are in no commit.",
    next: "Commit them, and build that.",
  },
  "history-unavailable": {
    sentence: "The git host could not be asked, so the order of commits is not known; it is never guessed.",
    next: "Landfall asks again by itself for a day; check the git host if this lasts, then publish once more.",
  },
  "history-denied": {
    sentence: "The git host refused Landfall, or the repository or branch does not exist there.",
    next: "Check `git` in the configuration, and `git.url` and `git.branch` of the image.",
  },

  "own-promotion": { sentence: "It is Landfall's own promotion, as the registry reports it.", next: "" },
  conflict: {
    sentence: "Somebody else moved a tag that Landfall owns: it is left there, and no workload is touched.",
    next: "`landfall promote IMAGE CHANNEL --adopt` takes it over, `--restore` puts back what was there.",
  },
  "not-promoted": {
    sentence: "Landfall has promoted nothing to this channel yet, and left it as it is.",
    next: "Publish a build: the first promotion takes the tag over.",
  },

  ordered: { sentence: "The order was taken.", next: "`landfall status` shows how far it is." },
  already: { sentence: "It was so already: the order changed nothing.", next: "" },
  unavailable: {
    sentence: "What the order needs to know could not be asked, so nothing was changed.",
    next: "Give the order again.",
  },
  comparing: {
    sentence: "What runs is being compared with what is wanted.",
    next: "`landfall drift` shows the report when it is done.",
  },
  compared: {
    sentence: "What runs was compared with what is wanted.",
    next: "`landfall drift` shows the last report.",
  },
  busy: {
    sentence: "Another full run is under way.",
    next: "Landfall begins by itself when that is over.",
  },
  refused: {
    sentence: "The order cannot be carried out.",
    next: "Mend what stands in its way, and give it again.",
  },
} as const satisfies Readonly<Record<string, Explanation>>;

export type Outcome = keyof typeof outcomes;

function isOutcome(name: string): name is Outcome {
  return Object.hasOwn(outcomes, name);
}

/** The explanation of a recorded outcome; a name of another version is shown as it is. */
export function explainOutcome(name: string): Explanation {
  return isOutcome(name) ? outcomes[name] : { sentence: `Outcome \`${name}\`.`, next: "" };
}
