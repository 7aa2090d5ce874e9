/** What a stable name stands for: a sentence for a person, and what that person can do about it. */
export interface Explanation {
  readonly sentence: string;
  readonly next: string;
}

/** Why a workload was left as it is. The names are stable: they are recorded, and scripts read them. */
export const skipReasons = {
  "already-running": {
    sentence: "It already runs this digest.",
    next: "Nothing to do.",
  },
  paused: {
    sentence: "It is paused: a person ordered that, or it has the label `landfall.pause`.",
    next: "`landfall resume WORKLOAD` ends an order's pause and looks at what was missed; after the label is removed the next full run does.",
  },
  frozen: {
    sentence: "Nothing is deployed to its target now: a freeze of the configuration holds.",
    next: "Nothing to do: what it follows is looked at again when the freeze ends. `landfall rollback` works all the same.",
  },
  guarded: {
    sentence:
      "Too many images moved at once to where nobody says that they were pushed: nothing is deployed.",
    next: "Look whether the registry is right; `landfall reconcile --dry-run` names the fingerprint that approves it.",
  },
  fighting: {
    sentence: "The same drift was repaired again and again within a day: something else keeps changing it.",
    next: "Find out what changes it; `landfall reconcile --adopt` repairs it once more.",
  },
  "pinned-by-person": {
    sentence: "A person brought it to what it runs, and pinned it there.",
    next: "`landfall release WORKLOAD` lets it follow its image again; a pin `--until next` also ends with something newer.",
  },
  held: {
    sentence: "This digest is held: it failed there by its own fault, or a person holds it.",
    next: "Push an image that works, another digest is not held; or `landfall release` what is held.",
  },
  dirty: {
    sentence: "It runs a tag that ends in `-dirty`: somebody put work in progress there by hand.",
    next: "Deploy a clean tag by hand; from then on Landfall follows that one.",
  },
  "digest-pinned": {
    sentence: "It names its image by digest alone, so there is no tag to follow.",
    next: "Name the image as `repository:tag` if it should follow pushes.",
  },
  "not-followed": {
    sentence: "Its repository is not matched by `follow` in the configuration.",
    next: "Add the repository to `follow` if Landfall may deploy it.",
  },
  "not-allowed": {
    sentence: "The secret that the webhook came with may not speak for this repository.",
    next: "Add the repository to `repositories` of that entry of `webhooks`, or push with the right secret.",
  },
  "other-tag": {
    sentence: "It runs the same repository, but follows another tag.",
    next: "Push a tag that it follows, or change the tag or the policy in its own definition.",
  },
  older: {
    sentence: "This tag is below the one that it runs, by the order that its policy gives.",
    next: "Nothing to do. To go back, set the older tag by hand; pushes are compared with that one then.",
  },
  unordered: {
    sentence: "Nobody can tell whether this tag is newer than the one that it runs.",
    next: "Let it run a tag that its policy can read, or give it another policy; `docs/policies.md` shows both.",
  },
  "held-back": {
    sentence: "This commit is no proven successor of the one that the image is at.",
    next: "Merge it into the image's branch and let CI build that, or deploy it by hand.",
  },
  "platform-mismatch": {
    sentence: "The image is made for no platform that the target's nodes have.",
    next: "Build the image for the nodes' platform as well and push the tag again.",
  },
  observe: {
    sentence:
      "It would have been rolled out, but its target or the whole installation is in `mode: observe`.",
    next: "Set `mode: act` on the target, or in `defaults`, when Landfall may deploy there.",
  },
  "managed-elsewhere": {
    sentence: "Something else deploys it by itself, and Landfall does not fight it.",
    next: "Switch the other one off for this workload, or label it `landfall.policy=tag` to let Landfall act.",
  },
  "policy-none": {
    sentence: "Its policy is `none`: it does not follow pushes.",
    next: "Label it `landfall.policy=tag`, or change `defaults.policy`.",
  },
  "unsupported-policy": {
    sentence: "Its label `landfall.policy` is no policy that Landfall can follow.",
    next: "Write `tag`, `none`, `commit`, `semver:RANGE` or `pattern:REGEX`; `docs/policies.md` explains them.",
  },
  "unreadable-image": {
    sentence: "Its image cannot be read as `repository:tag`.",
    next: "Correct the image in the workload's own definition.",
  },
  "not-rolling": {
    sentence: "The target would take the change, but would not replace what runs.",
    next: "Let the workload roll at its target, then push the tag again.",
  },
  "changed-outside": {
    sentence: "Landfall had put this digest there already, and somebody changed the workload since.",
    next: "Push another digest, or put the workload back by hand, if Landfall is to go on.",
  },
  superseded: {
    sentence: "A newer observation of its image was planned already.",
    next: "Nothing to do: the newer one decides.",
  },
  fenced: {
    sentence: "The target has the mark of a later rollout of this workload, so this one did not write.",
    next: "Nothing to do, unless two installations of Landfall deploy to this target: then stop one.",
  },
  gone: {
    sentence: "It is no longer at its target.",
    next: "Nothing to do, unless it should be there: then deploy it as usual.",
  },
} as const satisfies Readonly<Record<string, Explanation>>;

export type SkipReason = keyof typeof skipReasons;

export function isSkipReason(name: string): name is SkipReason {
  return Object.hasOwn(skipReasons, name);
}

/**
 * The explanation of a recorded skip reason. A name of another version is explained as unknown instead of
 * being hidden.
 */
export function explainSkip(name: string): Explanation {
  return isSkipReason(name)
    ? skipReasons[name]
    : {
        sentence: `Reason \`${name}\`, which this version does not know.`,
        next: "Use the version that wrote it.",
      };
}
