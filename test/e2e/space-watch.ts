import { readFileSync } from "node:fs";
import { Agent, get } from "node:https";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import { testbed } from "./testbed.ts";

const bed = testbed();
const everyMs = 500;

interface Item {
  readonly metadata: {
    readonly name: string;
    readonly deletionTimestamp?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly containers?: readonly { readonly name: string; readonly image: string }[];
    readonly template?: { readonly spec: { readonly containers: readonly { readonly image: string }[] } };
  };
  readonly status?: {
    readonly containerStatuses?: readonly {
      readonly ready: boolean;
      readonly restartCount: number;
      readonly state: { readonly waiting?: { readonly reason?: string }; readonly terminated?: object };
    }[];
  };
}

/** When something was seen first, ms since the epoch, to about 0.5 s. */
export interface SpaceWatch {
  /** A pod of that image that does not run, or is not ready, after its containers had been created. */
  failed(app: string, image: string): number | undefined;
  /** The templates of a workload's first container, one after the other. */
  templates(app: string): readonly { readonly image: string; readonly sinceMs: number }[];
  /** So many pods were ready, all of that image, and no other one was there any more, after a time. */
  well(app: string, image: string, pods: number, afterMs: number): number | undefined;
  stop(): Promise<void>;
}

/** Looks at a namespace, as user `landfall`, again and again. */
export function watchSpace(namespace: string): SpaceWatch {
  const failed = new Map<string, number>();
  const templates = new Map<string, { image: string; sinceMs: number }[]>();
  const stands = new Map<string, { readonly stand: string; readonly atMs: number }[]>();
  const agent = new Agent({ keepAlive: true, ca: readFileSync(bed.kubeCaFile) });
  const read = async (path: string): Promise<readonly Item[]> => {
    const headers = { authorization: `Bearer ${bed.kubeToken}`, "user-agent": "e2e" };
    const body = await new Promise<string>((resolve, reject) => {
      get(`${bed.kubeServer}${path}`, { agent, headers }, (answer) => {
        text(answer).then(resolve, reject);
      }).on("error", reject);
    });
    return (JSON.parse(body) as { readonly items?: readonly Item[] }).items ?? [];
  };
  const look = async () => {
    const kinds = ["deployments", "statefulsets", "daemonsets"];
    const paths = kinds.map((kind) => `/apis/apps/v1/namespaces/${namespace}/${kind}`);
    const pods = await read(`/api/v1/namespaces/${namespace}/pods`);
    const workloads = (await Promise.all(paths.map(read))).flat();
    const nowMs = Date.now();
    for (const { metadata, spec } of workloads) {
      const image = spec.template?.spec.containers[0]?.image ?? "";
      const known = templates.get(metadata.name) ?? [];
      if (known.at(-1)?.image !== image) known.push({ image, sinceMs: nowMs });
      templates.set(metadata.name, known);
    }
    const byApp = Map.groupBy(pods, ({ metadata }) => metadata.labels?.app ?? "");
    for (const [app, own] of byApp) {
      for (const pod of own) {
        if (pod.metadata.deletionTimestamp !== undefined) continue;
        const key = `${app} ${imageOf(pod)}`;
        if (isFailed(pod) && !failed.has(key)) failed.set(key, nowMs);
      }
      const known = stands.get(app) ?? [];
      const stand = own.map((pod) => `${isReady(pod) ? "ready" : "not"} ${imageOf(pod)}`).join("\n");
      if (known.at(-1)?.stand !== stand) known.push({ stand, atMs: nowMs });
      stands.set(app, known);
    }
  };
  let isStopped = false;
  const looking = (async () => {
    while (!isStopped) {
      await look().catch(() => undefined);
      await pause(everyMs);
    }
  })();
  return {
    failed: (app, image) => failed.get(`${app} ${image}`),
    templates: (app) => templates.get(app) ?? [],
    well(app, image, pods, afterMs) {
      const wanted = Array(pods).fill(`ready ${image}`).join("\n");
      return stands.get(app)?.find(({ stand, atMs }) => atMs >= afterMs && stand === wanted)?.atMs;
    },
    async stop() {
      isStopped = true;
      await looking;
      agent.destroy();
    },
  };
}

function imageOf({ spec }: Item): string {
  return spec.containers?.[0]?.image ?? "";
}

function isReady({ metadata, status }: Item): boolean {
  const all = status?.containerStatuses ?? [];
  return metadata.deletionTimestamp === undefined && all.length > 0 && all.every(({ ready }) => ready);
}

function isFailed({ status }: Item): boolean {
  return (status?.containerStatuses ?? []).some(({ ready, restartCount, state }) => {
    const { reason = "" } = state.waiting ?? {};
    const begins = ["ContainerCreating", "PodInitializing"].includes(reason);
    return restartCount > 0 || (!ready && !begins);
  });
}
