/** The kinds of workloads that are deployed to, as they stand in a workload's name. */
export const kinds = ["deployment", "statefulset", "daemonset", "cronjob"] as const;
export type Kind = (typeof kinds)[number];

/** What names one workload of a cluster. */
export interface Place {
  readonly namespace: string;
  readonly kind: Kind;
  readonly name: string;
}

/** In order of preference: CronJobs left beta in 1.21, and the beta went in 1.25. */
export const groupVersions: Readonly<Record<Kind, readonly string[]>> = {
  deployment: ["apps/v1"],
  statefulset: ["apps/v1"],
  daemonset: ["apps/v1"],
  cronjob: ["batch/v1", "batch/v1beta1"],
};

/** As a person knows them. */
export const kindNames: Readonly<Record<Kind, string>> = {
  deployment: "Deployment",
  statefulset: "StatefulSet",
  daemonset: "DaemonSet",
  cronjob: "CronJob",
};

/** `shop/deployment/web`. */
export function printPlace({ namespace, kind, name }: Place): string {
  return `${namespace}/${kind}/${name}`;
}

/** Reads `shop/deployment/web`; `undefined` for anything that can be no workload's name. */
export function parsePlace(text: string): Place | undefined {
  const [namespace = "", kind, name = "", ...more] = text.split("/");
  const known = kinds.find((each) => each === kind);
  if (known === undefined || more.length > 0 || !isName(namespace) || !isName(name)) return undefined;
  return { namespace, kind: known, name };
}

/** `/apis/apps/v1/namespaces/shop/deployments`; without a namespace that of the whole cluster. */
export function listPath(groupVersion: string, kind: Kind, namespace?: string): string {
  const within = namespace === undefined ? "" : `/namespaces/${namespace}`;
  return `/apis/${groupVersion}${within}/${kind}s`;
}

/** Only what stands in a URL as it is. */
function isName(text: string): boolean {
  return /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/.test(text);
}
