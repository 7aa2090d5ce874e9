import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { decideVerify, noMemory, type VerifyDecision } from "../../shared/decide/verify.ts";
import { printReference, type Reference } from "../../shared/domain/reference.ts";
import type { Wanted } from "../../shared/domain/rollout.ts";
import type { Access } from "../../shared/targets/kubernetes/access.ts";
import { kubernetesTarget } from "../../shared/targets/kubernetes/kubernetes.ts";
import type { Look, Target } from "../../shared/targets/target.ts";
import { cronJobsVersion } from "./kubernetes-rights.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();

/** One workload of a test, with what differs from a plain one. */
export interface WorkloadOptions {
  readonly kind: "Deployment" | "StatefulSet" | "DaemonSet" | "CronJob";
  readonly name: string;
  readonly image: Reference;
  readonly annotations?: Readonly<Record<string, string>>;
  /** The workload's own, none of its pods. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Fields of the spec. */
  readonly spec?: object;
  /** Fields of the container `app`. */
  readonly app?: object;
  /** Fields of the pod's spec. */
  readonly pod?: object;
}

/** The cluster as its administrator sees it, with namespaces of this run. @param name what they begin with */
export function cluster(name = "e2e-targets") {
  const runId = randomBytes(2).toString("hex");
  const prefix = `${name}-${runId}`;
  const role = prefix;
  let cronJobs: Promise<string> | undefined;
  const namespaces = [`${prefix}-a`, `${prefix}-b`, `${prefix}-full`] as const;

  return {
    namespaces,

    /** Namespaces, the last one without room for a pod, and for the user `landfall` the rights of the manifest that ships, in all of the cluster. */
    async open(): Promise<void> {
      for (const name of namespaces) await bed.kubectl("create", "namespace", name);
      await bed.kubectl("-n", namespaces[2], "create", "quota", "full", "--hard=pods=0");
      const shipped = await bed.kubectl(
        "create",
        "--dry-run=client",
        "-o=json",
        "-f",
        "infra/kubernetes/role.yaml",
      );
      await bed.kubectlApply(JSON.stringify({ ...JSON.parse(shipped), metadata: { name: role } }));
      await bed.kubectl("create", "clusterrolebinding", role, `--clusterrole=${role}`, "--user=landfall");
    },

    async close(): Promise<void> {
      await bed.kubectl("delete", "clusterrolebinding,clusterrole", role, "--ignore-not-found");
      await bed.kubectl("delete", "namespace", ...namespaces, "--ignore-not-found", "--wait=false");
    },

    /** Waits until one, e.g. `deployment/web`, runs what it was created with. */
    async rolledOut(namespace: string, workload: string): Promise<void> {
      await bed.kubectl("-n", namespace, "rollout", "status", workload, "--timeout=120s");
    },

    /** The cluster as a target, for the user with that token. */
    target(token: string, scope: readonly string[] = namespaces): Target {
      return kubernetesTarget({ name: "k8s", namespaces: scope, access: fixedAccess(token) });
    },

    async create(namespace: string, options: WorkloadOptions): Promise<void> {
      cronJobs ??= cronJobsVersion();
      const manifest = { ...manifestOf(options, await cronJobs), metadata: metadataOf(namespace, options) };
      await bed.kubectlApply(JSON.stringify(manifest));
    },

    async read<T = KubernetesObject>(namespace: string, kind: string, name: string): Promise<T> {
      return JSON.parse(
        await bed.kubectl("-n", namespace, "get", kind, name, "-o=json", "--show-managed-fields"),
      ) as T;
    },

    async pods(namespace: string, name: string): Promise<readonly Pod[]> {
      const list = JSON.parse(
        await bed.kubectl("-n", namespace, "get", "pods", "-l", `app=${name}`, "-o=json"),
      );
      return list.items as readonly Pod[];
    },
  };
}

export interface KubernetesObject {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly generation: number;
    readonly resourceVersion: string;
    readonly deletionTimestamp?: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly managedFields?: readonly { readonly manager: string }[];
  };
  readonly spec: {
    readonly replicas?: number;
    readonly template: { readonly metadata: object; readonly spec: PodSpec };
    readonly jobTemplate: { readonly spec: { readonly template: { readonly spec: PodSpec } } };
  };
}

export interface Pod {
  readonly metadata: KubernetesObject["metadata"];
  readonly spec: PodSpec;
  readonly status: {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly { readonly name: string; readonly imageID: string }[];
    readonly initContainerStatuses?: readonly {
      readonly state: { readonly terminated?: { readonly message?: string } };
    }[];
  };
}

interface PodSpec {
  readonly containers: readonly ContainerSpec[];
  readonly initContainers?: readonly ContainerSpec[];
}

interface ContainerSpec {
  readonly name: string;
  readonly image: string;
  readonly imagePullPolicy: string;
}

/** Looks until one satisfies. */
export async function lookUntil(
  target: Target,
  name: string,
  satisfies: (look: Look) => boolean,
  withinMs = 120_000,
): Promise<Look> {
  const endsMs = performance.now() + withinMs;
  for (let last: Look | undefined; ; await pause(300)) {
    last = await target.look(name);
    if (last !== undefined && satisfies(last)) return last;
    if (performance.now() > endsMs) {
      const { workload: _, ...shown } = last ?? {};
      throw new Error(`${name}: not seen within ${withinMs} ms; the last look: ${JSON.stringify(shown)}`);
    }
  }
}

/** Rolls out, and judges the looks as Landfall does until there is a verdict. */
export async function rollOut(
  target: Target,
  name: string,
  images: Readonly<Record<string, Reference>>,
  rules: { readonly timeoutMs: number; readonly stableForMs: number } = {
    timeoutMs: 150_000,
    stableForMs: 2_000,
  },
): Promise<Exclude<VerifyDecision, { kind: "wait" }>> {
  const { seq, applyingMs } = await write(target, name, images);
  const to = Object.fromEntries(
    Object.entries(images).map(([container, image]) => [container, { ...image, generation: 1 }]),
  ) as Wanted;
  const facts = { seq, to, applyingMs, acceptedMs: Date.now(), fences: true };
  for (let memory = noMemory; ; await pause(300)) {
    const decision = decideVerify(facts, memory, await target.look(name), Date.now(), rules);
    if (decision.kind !== "wait") return decision;
    memory = decision.memory;
  }
}

/** Writes on the version that was read; controllers write as well, so that some tries are lost. */
async function write(
  target: Target,
  name: string,
  images: Readonly<Record<string, Reference>>,
): Promise<{ readonly seq: number; readonly applyingMs: number }> {
  for (let tries = 1; ; tries++) {
    const before = await target.get(name);
    if (before === undefined) throw new Error(`${name} is not there`);
    const seq = before.fence + 1;
    const applyingMs = Date.now();
    const outcome = await target.update(before, {
      seq,
      images,
      note: { why: "push e2e", atMs: applyingMs },
    });
    if (outcome.kind === "accepted") return { seq, applyingMs };
    if (outcome.kind !== "conflict" || tries === 5) throw new Error(`${name}: ${JSON.stringify(outcome)}`);
  }
}

/** Credentials that never change. */
function fixedAccess(token: string): Access {
  const connection = {
    server: bed.kubeServer,
    ca: readFileSync(bed.kubeCaFile, "utf8"),
    headers: { authorization: `Bearer ${token}` },
  };
  return { connect: async () => connection, renew: async () => connection, close: async () => {} };
}

function metadataOf(namespace: string, { name, annotations = {}, labels = {} }: WorkloadOptions): object {
  return { namespace, name, annotations, labels };
}

function manifestOf({ kind, name, image, spec, app, pod }: WorkloadOptions, cronJobs: string): object {
  const labels = { app: name };
  const template = {
    metadata: { labels },
    spec: {
      // The nodes of a small cluster may have no network for pods.
      hostNetwork: true,
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 1,
      containers: [{ name: "app", image: printReference(image), ...app }],
      ...pod,
    },
  };
  if (kind === "CronJob") {
    const job = { template: { ...template, spec: { ...template.spec, restartPolicy: "Never" } } };
    return {
      apiVersion: cronJobs,
      kind,
      spec: { schedule: "0 0 1 1 *", jobTemplate: { spec: job }, ...spec },
    };
  }
  const common = { selector: { matchLabels: labels }, template };
  const own = kind === "StatefulSet" ? { serviceName: name } : {};
  return { apiVersion: "apps/v1", kind, spec: { ...common, ...own, ...spec } };
}
