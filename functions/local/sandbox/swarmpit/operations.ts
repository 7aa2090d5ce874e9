import type { HttpClient } from "../../../../shared/http.ts";
import { callEngine, type DockerService, type DockerSpec, type DockerTask, type Engine } from "./engine.ts";
import { parseImage, toService, toSwarmpitTask } from "./inbound.ts";
import { type RegistryAccount, registryAuth, resolve } from "./registries.ts";

/** How releases of Swarmpit differ; all off is 1.11. */
export interface SwarmpitQuirks {
  /** Up to 1.9: any user may write, viewers too. */
  readonly viewersMayWrite: boolean;
  /** Before 1.9: `?tag=` is not looked at. */
  readonly ignoresTagQuery: boolean;
  /** 1.9 and 1.10: an unknown digest leaves `name:tag@`, which Docker refuses. */
  readonly danglingAt: boolean;
}

/** The newest release that has these quirks, as it calls itself. */
export function releaseOf({ ignoresTagQuery, viewersMayWrite, danglingAt }: SwarmpitQuirks): string {
  if (ignoresTagQuery) return "1.8";
  if (viewersMayWrite) return "1.9";
  return danglingAt ? "1.10" : "1.11-SNAPSHOT";
}

/** What may go wrong within one redeploy; the first of it within a rollback too. */
export interface RedeployFaults {
  /** Somebody writes the service between Swarmpit's read and its write. */
  readonly outOfSequence: boolean;
  /** What the registry names instead of the tag's present digest. */
  readonly digest: string | undefined;
}

export interface Surroundings {
  readonly engine: Engine;
  readonly http: HttpClient;
  readonly hub: string | undefined;
  readonly quirks: SwarmpitQuirks;
}

export async function services(engine: Engine) {
  const [found, tasks] = await Promise.all([
    callEngine(engine, "GET", "/services") as Promise<readonly DockerService[]>,
    callEngine(engine, "GET", "/tasks") as Promise<readonly DockerTask[]>,
  ]);
  return found.map((service) => toService(service, tasks));
}

export async function service(engine: Engine, id: string) {
  const found = await inspect(engine, id);
  return toService(found, await tasksOf(engine, found.ID));
}

export async function serviceTasks(engine: Engine, id: string) {
  const found = await inspect(engine, id);
  return (await tasksOf(engine, found.ID)).map((task) => toSwarmpitTask(task, found.Spec.Name));
}

export async function tasks(engine: Engine) {
  const [found, all] = await Promise.all([
    callEngine(engine, "GET", "/services") as Promise<readonly DockerService[]>,
    callEngine(engine, "GET", "/tasks") as Promise<readonly DockerTask[]>,
  ]);
  const names = new Map(found.map((each) => [each.ID, each.Spec.Name]));
  return all.map((task) => toSwarmpitTask(task, names.get(task.ServiceID) ?? "no-service"));
}

/** Resolves the tag and writes the service with `ForceUpdate` + 1: every task restarts, whatever the digest is. */
export async function redeploy(
  around: Surroundings,
  accounts: readonly RegistryAccount[],
  id: string,
  tagQuery: string | null,
  faults: RedeployFaults,
): Promise<void> {
  const found = await inspect(around.engine, id);
  const { name, tag: ownTag } = parseImage(found.Spec.TaskTemplate.ContainerSpec.Image);
  const asked = around.quirks.ignoresTagQuery ? null : tagQuery;
  const tag = (asked ?? ownTag).trim() || "latest";
  const { digest: resolved, account } = await resolve(around.http, accounts, around.hub, name, tag);
  const digest = faults.digest ?? resolved;
  const pin = digest === "" ? (around.quirks.danglingAt ? "@" : "") : `@${digest}`;
  const template = found.Spec.TaskTemplate;
  const spec: DockerSpec = {
    ...found.Spec,
    TaskTemplate: {
      ...template,
      ContainerSpec: { ...template.ContainerSpec, Image: `${name}:${tag}${pin}` },
      ForceUpdate: (template.ForceUpdate ?? 0) + 1,
    },
  };
  const auth = account === undefined ? {} : { "x-registry-auth": registryAuth(account) };
  await write(around.engine, found.ID, indexOf(found, faults), spec, auth);
}

/** Submits the previous spec as an ordinary update; Docker has words for there being none. */
export async function rollback(
  engine: Engine,
  id: string,
  faults: Pick<RedeployFaults, "outOfSequence">,
): Promise<void> {
  const found = await inspect(engine, id);
  await write(engine, found.ID, indexOf(found, faults), found.PreviousSpec ?? undefined);
}

/** Scales to 0; a global service is left as it is. */
export async function stop(engine: Engine, id: string): Promise<void> {
  const found = await inspect(engine, id);
  if (found.Spec.Mode.Replicated === undefined) return;
  await write(engine, found.ID, found.Version.Index, {
    ...found.Spec,
    Mode: { Replicated: { Replicas: 0 } },
  });
}

function indexOf(
  { Version: { Index } }: DockerService,
  faults: Pick<RedeployFaults, "outOfSequence">,
): number {
  return faults.outOfSequence ? Index - 1 : Index;
}

async function write(
  engine: Engine,
  id: string,
  index: number,
  spec: DockerSpec | undefined,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  const body = spec === undefined ? undefined : JSON.stringify(spec);
  await callEngine(engine, "POST", `/services/${id}/update?version=${index}`, body, headers);
}

async function inspect(engine: Engine, id: string): Promise<DockerService> {
  return (await callEngine(engine, "GET", `/services/${encodeURIComponent(id)}`)) as DockerService;
}

async function tasksOf(engine: Engine, serviceId: string): Promise<readonly DockerTask[]> {
  const filters = encodeURIComponent(JSON.stringify({ service: [serviceId] }));
  return (await callEngine(engine, "GET", `/tasks?filters=${filters}`)) as readonly DockerTask[];
}
