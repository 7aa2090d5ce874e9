import * as z from "zod/mini";
import { TargetUnavailableError } from "../../errors.ts";
import { httpClient } from "../../http.ts";
import type { Change, Target, TargetContext, WriteOutcome } from "../target.ts";
import { swarmpitClient } from "./client.ts";
import type { SwarmpitConfig } from "./config.ts";
import { isMisread, toTask, toWorkload, updateOf, wantedTasksOf } from "./map.ts";
import { SwarmpitHandle, SwarmpitService, SwarmpitTask } from "./schema.ts";

/** Only time fences a write here: it must be over before a lease can be taken over. */
const deadlineMs = 10_000;
/** Docker's default: Swarmpit does not show a service's own `UpdateConfig.Monitor`. */
const defaultMonitorMs = 5_000;

/**
 * A Docker Swarm behind Swarmpit's HTTP API. Swarmpit takes no digest and no version: a redeploy resolves the tag
 * that the service has, reads the service and writes it, all by itself; so neither pins nor fences.
 */
export function create(config: SwarmpitConfig, context: TargetContext): Target {
  const { connect = httpClient } = context;
  const http = connect({});
  const client = swarmpitClient({
    target: config.name,
    url: config.url,
    token: context.secret(config.token),
    headers: Object.fromEntries(
      Object.entries(config.headers ?? {}).map(([name, template]) => [name, context.secret(template)]),
    ),
    http,
    deadlineMs,
  });

  /** Swarmpit also takes ids and their prefixes for a name: only the exact name is the service that was meant. */
  const service = async (name: string): Promise<SwarmpitService | undefined> => {
    const row = await client.read(`services/${encodeURIComponent(name)}`);
    if (row === undefined) return undefined;
    const found = readAs(SwarmpitService, row, config.name, "a service");
    return found.serviceName === name ? found : undefined;
  };

  return {
    name: config.name,
    kind: config.kind,
    capabilities: { pins: false, fences: false },

    async list() {
      const rows = readAs(
        z.array(z.unknown()),
        await client.read("services"),
        config.name,
        "a list of services",
      );
      // A row that cannot be read stops no other one: its service is not followed until it can be.
      return rows.flatMap((row) => {
        const read = SwarmpitService.safeParse(row);
        return read.success ? [toWorkload(config.name, read.data)] : [];
      });
    },

    async get(name) {
      const found = await service(name);
      return found === undefined ? undefined : toWorkload(config.name, found);
    },

    async update(workload, change) {
      const handle = readAs(SwarmpitHandle, workload.raw, config.name, "a service that this target read");
      const refusal = refusalOf(workload.containers[0]?.reference?.tag, handle, change);
      return refusal ?? client.redeploy(handle.id);
    },

    async look(name) {
      const [found, rows] = await Promise.all([
        service(name),
        client.read(`services/${encodeURIComponent(name)}/tasks`),
      ]);
      if (found === undefined || rows === undefined) return undefined;
      const tasks = readAs(z.array(SwarmpitTask), rows, config.name, "a list of tasks").map((task) =>
        toTask(name, task),
      );
      const wantedTasks = wantedTasksOf(found, tasks);
      if (wantedTasks === undefined) {
        throw new TargetUnavailableError(
          `${config.name}: Swarmpit does not say how many tasks ${name} wants`,
        );
      }
      const message = found.status?.message ?? "";
      return {
        workload: toWorkload(config.name, found),
        update: updateOf(found),
        ...(message === "" ? {} : { message }),
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

/** What a redeploy could not bring about: it follows the service's own tag, whatever the change names. */
function refusalOf(
  tag: string | undefined,
  handle: SwarmpitHandle,
  change: Change,
): WriteOutcome | undefined {
  if (isMisread(handle)) {
    return {
      kind: "refused",
      message: `Swarmpit misreads ${handle.repository?.image ?? "the image"}, which has a port and no tag: name the tag in the service's image`,
    };
  }
  const other = Object.values(change.images).find((image) => image.tag !== tag);
  if (other === undefined) return undefined;
  return {
    kind: "refused",
    message: `Swarmpit redeploys the tag that the service has (${tag ?? "none"}), not ${other.tag ?? "a digest"}`,
  };
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
