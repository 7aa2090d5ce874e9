import { type Clock, systemClock } from "../../clock.ts";
import type { Workload } from "../../domain/workload.ts";
import { TargetUnavailableError } from "../../errors.ts";
import { type HttpAnswer, type HttpClient, HttpError, type HttpOptions, retryAfterMs } from "../../http.ts";
import type { Change, Target, TargetContext, WriteOutcome } from "../target.ts";
import type { Access } from "./access.ts";
import { brief, objectOf, wordsOf } from "./answers.ts";
import { kubernetesClient } from "./client.ts";
import type { KubernetesConfig } from "./config.ts";
import { accessTo } from "./connect.ts";
import { newestWords } from "./events.ts";
import { groupVersions, type Kind, kinds, listPath, type Place, parsePlace } from "./kinds.ts";
import { type RawWorkload, toWorkload } from "./map.ts";
import { isInScope, scopesOf } from "./namespaces.ts";
import { outcomeOf } from "./outcome.ts";
import { mergePatch, patchOf, rewrittenIn } from "./patch.ts";
import { reportedDigests } from "./pod-images.ts";
import { progressOf, standingOf } from "./progress.ts";
import { type EventWire, WorkloadWire } from "./schema.ts";
import { readEvents, readStand } from "./standing.ts";
import { freeStuckPods, stuckMessage } from "./stuck.ts";
import { tasksOf } from "./tasks.ts";

export interface ClusterOptions {
  /** Name of the target. */
  readonly name: string;
  readonly namespaces: readonly string[];
  readonly access: Access;
  /** Default `httpClient`. */
  readonly connect?: ((options: HttpOptions) => HttpClient) | undefined;
  /** Default the machine's. */
  readonly clock?: Clock | undefined;
}

/** The field manager that the API notes our changes under. */
const manager = "landfall";

/** A Kubernetes cluster by its API server: a write carries digests, version and fence in one patch. */
export function create(config: KubernetesConfig, context: TargetContext): Target {
  return kubernetesTarget({
    name: config.name,
    namespaces: config.namespaces,
    access: accessTo(config, context),
    connect: context.connect,
  });
}

/** The same, reached in any way. */
export function kubernetesTarget(options: ClusterOptions): Target {
  const { name: target, namespaces, access, connect, clock = systemClock } = options;
  const client = kubernetesClient({ target, access, connect, clock });

  async function listKind(kind: Kind, namespace: string | undefined): Promise<readonly Workload[]> {
    for (const groupVersion of groupVersions[kind]) {
      const found = await client.list(listPath(groupVersion, kind, namespace), {}, (item) => {
        // One that cannot be read stops no other one.
        const read = WorkloadWire.safeParse(item);
        if (!read.success || !isInScope(namespaces, read.data.metadata.namespace)) return undefined;
        const workload = toWorkload(target, kind, groupVersion, read.data);
        const standing = standingOf(kind, read.data);
        return workload && standing ? { ...workload, standing } : workload;
      });
      if (found.kind === "found") return found.value;
    }
    return withoutApi(kind);
  }

  async function read(name: string): Promise<Read | undefined> {
    const place = parsePlace(name);
    if (place === undefined || !isInScope(namespaces, place.namespace)) return undefined;
    for (const groupVersion of groupVersions[place.kind]) {
      const found = await client.get(pathOf(groupVersion, place));
      if (found.kind === "missing") return undefined;
      if (found.kind === "no-api") continue;
      const wire = WorkloadWire.safeParse(found.value);
      if (!wire.success) {
        const where = [...new Set(wire.error.issues.map(({ path }) => path.join(".")))]
          .slice(0, 5)
          .join(", ");
        throw new TargetUnavailableError(`${target}: the API server's answer is no ${place.kind} (${where})`);
      }
      const workload = toWorkload(target, place.kind, groupVersion, wire.data);
      return workload === undefined ? undefined : { place, wire: wire.data, workload };
    }
    withoutApi(place.kind);
    return undefined;
  }

  /** CronJobs may be switched off; without the others it is no Kubernetes that answers. */
  function withoutApi(kind: Kind): readonly never[] {
    if (kind === "cronjob") return [];
    throw new TargetUnavailableError(
      `${target}: no Kubernetes API answers at the cluster's address: it knows no ${groupVersions[kind][0]}`,
    );
  }

  async function patch(path: string, body: string): Promise<HttpAnswer | WriteOutcome> {
    try {
      return await client.write("PATCH", `${path}?fieldManager=${manager}`, {
        contentType: mergePatch,
        body,
      });
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      if (error.sent) return { kind: "unknown", message: `the API server gave no answer: ${error.message}` };
      throw new TargetUnavailableError(`${target}: ${error.message}`, { cause: error });
    }
  }

  /** What the patch left: admission may have made something else of it. */
  async function check(
    place: Place,
    groupVersion: string,
    answer: HttpAnswer,
    change: Change,
  ): Promise<WriteOutcome> {
    const wire = WorkloadWire.safeParse(objectOf(answer));
    const after = wire.success ? toWorkload(target, place.kind, groupVersion, wire.data) : undefined;
    if (!wire.success || after === undefined) {
      return { kind: "unknown", message: `the API server's answer to the patch is no ${place.kind}` };
    }
    const rewritten = rewrittenIn(after, change);
    if (rewritten.length > 0) {
      return { kind: "refused", message: `the cluster's admission changed ${rewritten.join(", ")}` };
    }
    await freeStuckPods(client, place.kind, wire.data, pathOf(groupVersion, place), clock);
    return { kind: "accepted" };
  }

  return {
    name: target,
    kind: "kubernetes",
    capabilities: { pins: true, fences: true, rollsBackTo: "any" },

    async list() {
      const lists = scopesOf(namespaces).flatMap((scope) => kinds.map((kind) => listKind(kind, scope)));
      return (await Promise.all(lists)).flat();
    },

    async get(name) {
      return (await read(name))?.workload;
    },

    reported: () => reportedDigests(client, namespaces),

    async update(workload, change) {
      const place = parsePlace(workload.name);
      if (place === undefined) return { kind: "refused", message: `${workload.name} is no workload's name` };
      const names = workload.containers.map(({ name }) => name);
      const unknown = Object.keys(change.images).filter((name) => !names.includes(name));
      if (unknown.length > 0) {
        // The API would add them.
        const message = `it has no container ${unknown.join(", ")}, only ${names.join(", ")}`;
        return { kind: "refused", message };
      }
      const { groupVersion } = workload.raw as RawWorkload;
      const answer = await patch(pathOf(groupVersion, place), patchOf(place.kind, workload, change));
      if ("kind" in answer) return answer;
      const outcome = outcomeOf(answer);
      switch (outcome.kind) {
        case "accepted":
          return check(place, groupVersion, answer, change);
        case "not-done":
          throw new TargetUnavailableError(
            `${target}: the API server answered ${answer.status}${wordsOf(answer)}`,
            { retryAfterMs: retryAfterMs(answer, clock.now()) },
          );
        default:
          return outcome;
      }
    },

    async look(name) {
      const found = await read(name);
      if (found === undefined) return undefined;
      const { place, wire, workload } = found;
      const stand = await readStand(client, place.kind, wire);
      const progress = progressOf(place.kind, wire, stand.revision);
      const events = await readEvents(client, stand, progress.wantedTasks);
      const message =
        progress.message ??
        stuckMessage(stand, clock.now()) ??
        missingMessage(events.get(wire.metadata.uid) ?? []);
      return {
        workload,
        ...progress,
        ...(message === undefined ? {} : { message }),
        tasks: tasksOf(stand, events),
        windowMs: (wire.spec.minReadySeconds ?? 0) * 1000,
      };
    },

    /** Nodes are nobody's namespace: to read them takes a right of the whole cluster, which is not asked for. */
    async platforms() {
      return [];
    },

    close: () => client.close(),
  };
}

interface Read {
  readonly place: Place;
  readonly wire: WorkloadWire;
  readonly workload: Workload;
}

/** A DaemonSet or StatefulSet that may not create its pods says so in events only. */
function missingMessage(events: readonly EventWire[]): string | undefined {
  const words = newestWords(events, ({ reason }) => reason === "FailedCreate");
  return words === undefined ? undefined : brief(words);
}

function pathOf(groupVersion: string, { namespace, kind, name }: Place): string {
  return `${listPath(groupVersion, kind, namespace)}/${name}`;
}
