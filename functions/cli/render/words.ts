import type { ImagePush } from "../../../shared/domain/push.ts";
import { repositoryOf } from "../../../shared/domain/push.ts";
import { type Explanation, explainSkip } from "../../../shared/domain/reasons.ts";
import { printReference } from "../../../shared/domain/reference.ts";
import type { Wanted } from "../../../shared/domain/rollout.ts";
import type { Verdict } from "../../../shared/ledger/ledger.ts";

/** What came of an event as a whole, by the name that is recorded with it. */
const outcomes: Readonly<Record<string, Explanation>> = {
  observed: { sentence: "The registry was asked, and every workload was judged by its answer.", next: "" },
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
  head: { sentence: "Its commit is newer than every one before: it is what is to run now.", next: "" },
  rebuild: {
    sentence: "The newest commit was built again, with another result, which is to run now.",
    next: "",
  },
  current: { sentence: "It is the build that is known already.", next: "" },
  superseded: { sentence: "A newer commit was there before it.", next: "" },
  "held-back": {
    sentence: "Its commit is not on the way from the newest one, so nothing was deployed.",
    next: "Build a commit of the branch that contains what runs, or see whether history was rewritten.",
  },
  "unknown-commit": {
    sentence: "The git host does not know its commit yet.",
    next: "Landfall asks again by itself; check that the commit was pushed if this lasts.",
  },
  "no-commit": {
    sentence: "Nothing says which commit it was built from.",
    next: "Publish it with its commit: `landfall publish IMAGE:TAG --commit SHA`.",
  },
  "ignored-tag": { sentence: "`ignoreTags` takes its tag for nothing to deploy.", next: "" },
  dirty: {
    sentence: "It was built from changes that are in no commit.",
    next: "Commit them and build again.",
  },
  "history-unavailable": {
    sentence: "The git host could not be asked, so the order is not known.",
    next: "Landfall asks again by itself; check the git host if this lasts.",
  },
  "history-denied": {
    sentence: "The git host refused Landfall, or the repository does not exist there.",
    next: "Check `git` in the configuration: host, token.",
  },
  ordered: { sentence: "The order was taken.", next: "" },
  refused: { sentence: "The order cannot be carried out.", next: "" },
  "target-unavailable": {
    sentence: "A target could not be asked.",
    next: "Landfall asks again by itself; check the target if this lasts.",
  },
  "target-denied": {
    sentence: "A target refused Landfall's credentials or rights.",
    next: "Check that entry of `targets` in the configuration.",
  },
  undecodable: {
    sentence: "The message could not be read and was set aside.",
    next: "Find it in the dead letters by its id.",
  },
};

/** What came of an event as a whole; a name of another version is shown as it is. */
export function explainOutcome(name: string): Explanation {
  const known = Object.hasOwn(outcomes, name) ? outcomes[name] : undefined;
  return known ?? { sentence: `Outcome \`${name}\`.`, next: "" };
}

/** What was decided for one workload, as a sentence and a way on (empty when there is nothing to do). */
export function explainVerdict({ kind, reason, detail, seq }: Verdict): Explanation {
  const suffix = detail === undefined ? "" : ` (${detail})`;
  switch (kind) {
    case "planned":
      return {
        sentence: `${seq === undefined ? "A rollout" : `Rollout ${seq}`} was planned.${suffix}`,
        next: "",
      };
    case "joined":
      return {
        sentence: `The rollout under way${seq === undefined ? "" : `, number ${seq},`} already leads to this digest.${suffix}`,
        next: "",
      };
    case "waiting": {
      const { sentence, next } = explainOutcome(reason ?? "waiting");
      return { sentence: `Waits: ${sentence}${suffix}`, next };
    }
    case "skipped": {
      const { sentence, next } = explainSkip(reason ?? "unknown");
      return { sentence: `${sentence}${suffix}`, next: next.startsWith("Nothing to do.") ? "" : next };
    }
    default:
      return kind satisfies never;
  }
}

/** A digest as tables show it: 12 hex digits. */
export function shortDigest(digest: string | undefined): string {
  return digest === undefined ? "-" : digest.replace(/^sha256:/, "").slice(0, 12);
}

/** An image as a target spells it, its digest shortened. */
export function shortImage(image: string): string {
  return image.replace(/@sha256:([0-9a-f]{12})[0-9a-f]*/, "@$1");
}

/** What a push was of, e.g. `docker.io/acme/web:v1`; a message that could not be read has none. */
export function imageOf(push: ImagePush | undefined): string {
  if (push === undefined) return "(unreadable message)";
  return printReference({
    repository: repositoryOf(push),
    ...(push.tag === undefined ? {} : { tag: push.tag }),
  });
}

/** What a rollout leads to, e.g. `docker.io/acme/web:v1@4c46414c0000`, containers named when there are several. */
export function wantedText(wanted: Wanted): string {
  const entries = Object.entries(wanted);
  return entries
    .map(([container, { repository, tag, digest }]) => {
      const image = `${repository}:${tag}@${shortDigest(digest)}`;
      return entries.length > 1 ? `${container}=${image}` : image;
    })
    .join(" ");
}
