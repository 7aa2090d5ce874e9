import * as z from "zod/mini";
import { systemClock } from "../../clock.ts";
import type { Workload } from "../../domain/workload.ts";
import { TargetUnavailableError } from "../../errors.ts";
import { httpClient } from "../../http.ts";
import { updateWords } from "../docker-task.ts";
import type { Change, Target, TargetContext, WriteOutcome } from "../target.ts";
import { bareToken, swarmpitClient } from "./client.ts";
import type { SwarmpitConfig } from "./config.ts";
import { isMisread, toTask, toWorkload, updateOf, wantedTasksOf } from "./map.ts";
import { SwarmpitHandle, SwarmpitService, SwarmpitTask } from "./schema.ts";
import { stampOf } from "./stamp.ts";

/** Only time fences a write here: it must be over before a lease can be taken over. */
const deadlineMs = 10_000;
/** Of that, what reading once more before another tag or the previous spec is asked for may take. */
const readAgainMs = 4_000;
/** Docker's default: Swarmpit does not show a service's own `UpdateConfig.Monitor`. */
const defaultMonitorMs = 5_000;

/**
 * A Docker Swarm behind Swarmpit's HTTP API. Swarmpit takes no digest and no version: a redeploy reads the service,
 * resolves its tag or another one of its repository, and writes it, all by itself; so neither pins nor fences.
 */
export function create(config: SwarmpitConfig, context: TargetContext): Target {
  const { connect = httpClient } = context;
  const http = connect({});
  const token = context.secret(config.token);
  const client = swarmpitClient({
    target: config.name,
    url: config.url,
    token,
    headers: Object.fromEntries(
      Object.entries(config.headers ?? {}).map(([name, template]) => [name, context.secret(template)]),
    ),
    http,
    deadlineMs,
  });

  /** Swarmpit also takes ids and their prefixes for a name: only the exact name is the service that was meant. */
  const read = async (name: string, withinMs?: number) => {
    const row = await client.read(`services/${encodeURIComponent(name)}`, withinMs);
    if (row === undefined) return undefined;
    const service = readAs(SwarmpitService, row, config.name, "a service");
    if (service.serviceName !== name) return undefined;
    return { service, stamp: stampOf(service, row, bareToken(token)) };
  };

  /** A write names no version that it is meant for: whether the service is still the one that was read. */
  const changed = async (workload: Workload): Promise<WriteOutcome | undefined> => {
    const found = await read(workload.name, readAgainMs);
    if (found === undefined) return { kind: "gone" };
    return String(found.service.version) === workload.version ? undefined : { kind: "conflict" };
  };

  /** Why another tag cannot be asked for now. */
  const objection = async (workload: Workload, tag: string): Promise<WriteOutcome | undefined> => {
    const [no, release] = await Promise.all([changed(workload), client.release(readAgainMs)]);
    if (no !== undefined) return no;
    if (release === undefined || !ignoresTag(release)) return undefined;
    return {
      kind: "refused",
      message: `Swarmpit ${release} redeploys no other tag than the service has, so not ${tag}: update it to 1.9 or later, or use \`kind: swarm\` for this target`,
    };
  };

  return {
    name: config.name,
    kind: config.kind,
    capabilities: { pins: false, fences: false, rollsBackTo: "previous" },

    async list() {
      const rows = readAs(
        z.array(z.unknown()),
        await client.read("services"),
        config.name,
        "a list of services",
      );
      // A row that cannot be read stops no other one: its service is not followed until it can be.
      return rows.flatMap((row) => {
        const { success, data: service } = SwarmpitService.safeParse(row);
        if (!success) return [];
        return [toWorkload(config.name, { service, stamp: stampOf(service, row, bareToken(token)) })];
      });
    },

    async get(name) {
      const found = await read(name);
      return found === undefined ? undefined : toWorkload(config.name, found);
    },

    async update(workload, change) {
      const handle = readAs(SwarmpitHandle, workload.raw, config.name, "a service that this target read");
      const asked = askedOf(workload, handle, change);
      if (asked.kind === "refused") return asked;
      if (asked.kind === "own-tag") return client.redeploy(handle.id);
      const startedMs = systemClock.monotonic();
      const no = await objection(workload, asked.tag);
      if (no !== undefined) return no;
      const leftMs = deadlineMs - (systemClock.monotonic() - startedMs);
      return client.redeploy(handle.id, { tag: asked.tag, deadlineMs: leftMs });
    },

    async goBack(workload) {
      const handle = readAs(SwarmpitHandle, workload.raw, config.name, "a service that this target read");
      const startedMs = systemClock.monotonic();
      const no = await changed(workload);
      if (no !== undefined) return no;
      return client.rollback(handle.id, deadlineMs - (systemClock.monotonic() - startedMs));
    },

    async look(name) {
      const [found, rows] = await Promise.all([
        read(name),
        client.read(`services/${encodeURIComponent(name)}/tasks`),
      ]);
      if (found === undefined || rows === undefined) return undefined;
      const tasks = readAs(z.array(SwarmpitTask), rows, config.name, "a list of tasks").map((task) =>
        toTask(name, task),
      );
      const wantedTasks = wantedTasksOf(found.service, tasks);
      if (wantedTasks === undefined) {
        throw new TargetUnavailableError(
          `${config.name}: Swarmpit does not say how many tasks ${name} wants`,
        );
      }
      const update = updateOf(found.service);
      return {
        workload: toWorkload(config.name, found),
        update,
        ...updateWords(update, found.service.status?.message),
        tasks,
        wantedTasks,
        windowMs: defaultMonitorMs,
      };
    },

    async platforms() {
      return [];
    },

    close: () => http.close(),
  };
}

type Asked =
  | { readonly kind: "own-tag" }
  | { readonly kind: "other-tag"; readonly tag: string }
  | (WriteOutcome & { readonly kind: "refused" });

/** What a redeploy has to be asked for to bring a change about, or why none could. */
function askedOf(workload: Workload, handle: SwarmpitHandle, { images }: Change): Asked {
  const refused = (message: string): Asked => ({ kind: "refused", message });
  const { [workload.name]: image, ...others } = images;
  if (image === undefined || Object.keys(others).length > 0) {
    return refused(`a service has one container, named ${workload.name}`);
  }
  if (isMisread(handle)) {
    return refused(
      `Swarmpit misreads ${handle.repository?.image ?? "the image"}, which has a port and no tag: name the tag in the service's image`,
    );
  }
  const { repository, tag } = workload.containers[0]?.reference ?? {};
  if (image.repository !== repository) {
    return refused(
      `Swarmpit redeploys the repository that the service has (${repository ?? "unreadable"}), not ${image.repository}`,
    );
  }
  if (image.tag === undefined) return refused("Swarmpit redeploys a tag, and never a digest without one");
  return image.tag === tag ? { kind: "own-tag" } : { kind: "other-tag", tag: image.tag };
}

/** Releases before 1.9 redeploy the service's own tag whatever they are asked for, which restarts every task. */
function ignoresTag(release: string): boolean {
  const [, major, minor] = /^v?(\d+)\.(\d+)/.exec(release) ?? [];
  return major !== undefined && (Number(major) < 1 || (Number(major) === 1 && Number(minor) < 9));
}

function readAs<T extends z.ZodMiniType>(
  schema: T,
  value: unknown,
  target: string,
  what: string,
): z.infer<T> {
  const read = schema.safeParse(value);
  if (read.success) return read.data;
  const where = read.error.issues.map((issue) => issue.path.join(".")).join(", ");
  throw new TargetUnavailableError(
    `${target}: the answer is not ${what}${where === "" ? "" : ` (${where})`}`,
  );
}
