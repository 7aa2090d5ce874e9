import { brief } from "./answers.ts";
import type { ContainerStatus, PodWire } from "./schema.ts";

/** Why a pod is not ready. */
export interface Trouble {
  /** It failed, as far as it has come; else it may still get there. */
  readonly isFailed: boolean;
  readonly error: string;
  /** Not the image's doing: nodes, quotas, configuration, a registry that refuses. */
  readonly isEnvironment: boolean;
  readonly container?: string;
  /** Events may tell more: why a pull failed, which decides whose fault it is, or just what happened. */
  readonly ask?: "pull" | "more";
  /** The image that cannot be pulled. */
  readonly image?: string;
}

/** A pod that was well a moment ago may be so again. */
const unreadyMs = 20_000;

type Found = Omit<Trouble, "container">;
type Part = PodWire["spec"]["containers"][number];

/** Judged by what ended last and how often, for `state` takes turns; `undefined` for a ready pod. */
export function troubleOf(pod: PodWire): Trouble | undefined {
  const { status, spec } = pod;
  if (status?.phase === "Failed") {
    const reason = status.reason ?? "";
    const words = joined(reason || "the pod failed", status.message);
    // Evicted, preempted, refused by its node: each has a reason of its own.
    return { isFailed: true, error: words, isEnvironment: reason !== "" };
  }
  if (isReady(pod)) return undefined;
  if ((status?.reason ?? "") !== "") {
    return { isFailed: false, error: joined(status?.reason ?? "", status?.message), isEnvironment: true };
  }
  const init = (spec.initContainers ?? []).map((part) => ({
    part,
    // An init container that restarts always is a sidecar: it is not expected to end.
    ends: part.restartPolicy !== "Always",
    found: status?.initContainerStatuses,
  }));
  const main = spec.containers.map((part) => ({ part, ends: false, found: status?.containerStatuses }));
  const troubles = [...init, ...main].flatMap(({ part, ends, found }): Trouble[] => {
    const own = found?.find(({ name }) => name === part.name);
    const trouble = own === undefined ? undefined : containerTrouble(part, own, ends);
    if (trouble === undefined) return [];
    return [{ ...trouble, error: `${part.name}: ${trouble.error}`, container: part.name }];
  });
  return troubles.find(({ isFailed }) => isFailed) ?? troubles[0] ?? podTrouble(pod);
}

export function isReady({ status }: PodWire): boolean {
  return (status?.conditions ?? []).some(({ type, status: is }) => type === "Ready" && is === "True");
}

/**
 * Whether it will most likely not become ready any more: it failed, was started again without success, or has been
 * there for long enough, as one whose probe never succeeds.
 */
export function isBroken(pod: PodWire, nowMs: number): boolean {
  if (isReady(pod)) return false;
  if (troubleOf(pod)?.isFailed === true || restartsOf(pod) > 0) return true;
  const ready = pod.status?.conditions?.find(({ type }) => type === "Ready");
  const sinceMs = Date.parse(ready?.lastTransitionTime ?? pod.metadata.creationTimestamp ?? "");
  return nowMs - sinceMs >= unreadyMs;
}

/** How often its containers were started again. */
export function restartsOf({ status }: PodWire): number {
  const all = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
  return all.reduce((sum, { restartCount }) => sum + (restartCount ?? 0), 0);
}

/** What ended in a pod before it was started again: of the container that was started again most often. */
export function endedIn({
  status,
}: PodWire): { readonly error: string; readonly container: string } | undefined {
  const all = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
  const [most] = all
    .filter(({ restartCount }) => (restartCount ?? 0) > 0)
    .toSorted((one, other) => (other.restartCount ?? 0) - (one.restartCount ?? 0));
  const last = most?.lastState?.terminated ?? undefined;
  if (most === undefined || last === undefined) return undefined;
  return { error: `${most.name}: ${exited(last).error}`, container: most.name };
}

/**
 * A failed pull is the image's fault only where the registry says that there is none of it for this node.
 * @param said the node's own words, whole
 * @param image as the container names it
 */
export function isPullEnvironment(said: string, image: string): boolean {
  // Its name may be `acme/denied`.
  const words = said.replaceAll(image, "").replaceAll(image.replace(/(?::[^/:@]*)?(?:@.*)?$/, ""), "");
  const refused =
    /no basic auth|unauthorized|denied|forbidden|timeout|timed out|too ?many ?requests|\b5\d\d\b|x509|tls:|certificate|no such host|connection re/i;
  if (refused.test(words)) return true;
  return !/manifest unknown|not found|no match(?:ing manifest)? for/i.test(words);
}

function containerTrouble(part: Part, own: ContainerStatus, ends: boolean): Found | undefined {
  const { waiting, terminated } = own.state ?? {};
  const last = own.lastState?.terminated ?? undefined;
  const isRunning = (own.state?.running ?? undefined) !== undefined;
  if (terminated !== undefined && terminated !== null) {
    return ends && terminated.exitCode === 0 ? undefined : { ...exited(terminated), isFailed: true };
  }
  if (waiting !== undefined && waiting !== null) return waitingTrouble(part, waiting, last);
  if (last !== undefined && own.ready !== true) return exited(last);
  return ends && isRunning
    ? { isFailed: false, error: "the init container has not ended yet", isEnvironment: false }
    : undefined;
}

type Terminated = NonNullable<NonNullable<ContainerStatus["state"]>["terminated"]>;
type Waiting = NonNullable<NonNullable<ContainerStatus["state"]>["waiting"]>;

function waitingTrouble(part: Part, waiting: Waiting, last: Terminated | undefined): Found {
  const reason = waiting.reason ?? "waiting";
  const image = part.image ?? "";
  const words = joined(reason, waiting.message);
  switch (reason) {
    case "ErrImagePull":
    case "ImageInspectError":
    case "RegistryUnavailable":
      return {
        isFailed: true,
        error: words,
        isEnvironment: isPullEnvironment(waiting.message ?? "", image),
        image,
      };
    case "ImagePullBackOff":
      // Its message names the image and no cause.
      return { isFailed: true, error: words, isEnvironment: true, ask: "pull", image };
    case "CreateContainerConfigError":
    case "ErrImageNeverPull":
      return { isFailed: true, error: words, isEnvironment: true };
    case "CreateContainerError": {
      const isImage = /no command specified|executable|no such file/i.test(words);
      return { isFailed: true, error: words, isEnvironment: !isImage };
    }
    case "CrashLoopBackOff":
      return last === undefined
        ? { isFailed: true, error: words, isEnvironment: false }
        : { ...exited(last), isFailed: true };
    case "InvalidImageName":
    case "RunContainerError":
    case "PostStartHookError":
      return { isFailed: true, error: words, isEnvironment: false };
    default:
      // ContainerCreating, PodInitializing: volumes, networks and pulls take their time.
      return last === undefined
        ? { isFailed: false, error: words, isEnvironment: true, ask: "more" }
        : exited(last);
  }
}

/** A container that ended, e.g. `exited with code 3`; reason and message are the runtime's or its own. */
function exited({ exitCode, reason, message }: Terminated): Found {
  const isPlain = ["", "Error", "Completed"].includes(reason ?? "");
  const words = joined(`${isPlain ? "" : `${reason}, `}exited with code ${exitCode ?? "unknown"}`, message);
  return { isFailed: false, error: words, isEnvironment: false };
}

function podTrouble({ status }: PodWire): Trouble {
  const unscheduled = (status?.conditions ?? []).find(
    ({ type, status: is }) => type === "PodScheduled" && is === "False",
  );
  if (unscheduled !== undefined) {
    const words = joined(unscheduled.reason ?? "Unschedulable", unscheduled.message);
    return { isFailed: false, error: words, isEnvironment: true };
  }
  const none = (status?.containerStatuses ?? []).length === 0;
  return none
    ? { isFailed: false, error: "not started by its node yet", isEnvironment: true, ask: "more" }
    : { isFailed: false, error: "not ready", isEnvironment: false, ask: "more" };
}

function joined(reason: string, message: string | null | undefined): string {
  return brief((message ?? "") === "" ? reason : `${reason}: ${message}`);
}
