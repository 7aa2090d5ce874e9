import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { testbed } from "./testbed.ts";

const bed = testbed();
/** Takes the place of `landfall` in the manifests, so that nothing that is there already is touched. */
export const account = "lf-access";
/** Namespaces with a workload of each kind, all of them named `web`. */
export const web = `${account}-web`;
export const shop = `${account}-shop`;

/** `kubectl apply` of a manifest of infra/kubernetes, with more arguments before it. */
export async function applyOwn(name: string, ...args: readonly string[]): Promise<void> {
  await bed.kubectlApply(await manifest(name), ...args);
}

/** A token of the account that lasts ten minutes. */
export function tokenOfAccount(): Promise<string> {
  return bed.kubectl("create", "token", account, "-n", account, "--duration=10m");
}

/** The path of CronJobs: before 1.21 the group's v1 knows none. */
export async function cronJobsVersion(): Promise<string> {
  const v1 = await bed.kubectl("get", "--raw", "/apis/batch/v1");
  return v1.includes('"cronjobs"') ? "batch/v1" : "batch/v1beta1";
}

/** Account, role and workloads; nothing is bound yet. */
export async function setUp(): Promise<void> {
  await cleanUp();
  await applyOwn("account.yaml");
  await applyOwn("role.yaml");
  for (const namespace of [web, shop]) {
    await bed.kubectl("create", "namespace", namespace);
    await bed.kubectlApply(workloads(namespace, await cronJobsVersion()));
  }
}

export async function cleanUp(): Promise<void> {
  await unbind();
  await bed.kubectl("delete", "--ignore-not-found", `clusterrole/${account}`);
  const namespaces = [account, web, shop].map((name) => `namespace/${name}`);
  await bed.kubectl("delete", "--ignore-not-found", "--timeout=90s", ...namespaces);
}

/** Takes back whatever was bound everywhere or in a namespace. */
export async function unbind(): Promise<void> {
  await bed.kubectl("delete", "--ignore-not-found", `clusterrolebinding/${account}`);
  for (const namespace of [web, shop]) {
    const bindings = [`rolebinding/${account}`, `rolebinding/${account}-delete-pods`];
    await bed.kubectl("-n", namespace, "delete", "--ignore-not-found", ...bindings);
  }
}

function manifest(name: string): Promise<string> {
  return readFile(join(import.meta.dirname, "../../infra/kubernetes", name), "utf8").then((text) =>
    text.replaceAll(/\blandfall\b/g, account),
  );
}

/** One workload of each kind, none of which ever makes a pod. */
function workloads(namespace: string, cronJobs: string): string {
  const labels = { app: account };
  const spec = { containers: [{ name: "web", image: "127.0.0.1:5000/acme/none:v1" }] };
  const template = { metadata: { labels }, spec };
  const job = { metadata: { labels }, spec: { ...spec, restartPolicy: "Never" } };
  const nowhere = { ...template, spec: { ...spec, nodeSelector: { [account]: "nowhere" } } };
  const selector = { matchLabels: labels };
  const item = (apiVersion: string, kind: string, body: object) => ({
    apiVersion,
    kind,
    metadata: { name: "web", namespace },
    spec: body,
  });
  return JSON.stringify({
    apiVersion: "v1",
    kind: "List",
    items: [
      item("apps/v1", "Deployment", { replicas: 0, selector, template }),
      item("apps/v1", "StatefulSet", { replicas: 0, selector, template, serviceName: "web" }),
      item("apps/v1", "DaemonSet", { selector, template: nowhere }),
      item(cronJobs, "CronJob", {
        schedule: "0 0 1 1 *",
        suspend: true,
        jobTemplate: { spec: { template: job } },
      }),
    ],
  });
}
