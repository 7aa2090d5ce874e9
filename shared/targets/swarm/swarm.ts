import * as z from "zod/mini";
import { hostOf } from "../../domain/reference.ts";
import type { Workload } from "../../domain/workload.ts";
import { TargetUnavailableError } from "../../errors.ts";
import { type HttpAnswer, HttpError } from "../../http.ts";
import type { Target, TargetContext, WriteOutcome } from "../target.ts";
import { engineClient, isJsonObject, isServiceMissing, wordsOf } from "./client.ts";
import type { SwarmConfig } from "./config.ts";
import { isJob, nodePlatforms, toLook, toWorkload } from "./map.ts";
import { NodeWire, ServiceWire, TaskWire } from "./schema.ts";
import { type RawService, withImage } from "./spec.ts";

/** A Docker Swarm by a manager's Engine API: a write carries digest, version and fence in one request. */
export function create(config: SwarmConfig, context: TargetContext): Target {
  const { tls } = config;
  const engine = engineClient({
    target: config.name,
    host: config.host,
    ...(context.connect === undefined ? {} : { connect: context.connect }),
    ...(tls === undefined
      ? {}
      : {
          tls: {
            ca: context.secret(tls.ca),
            cert: context.secret(tls.cert),
            key: context.secret(tls.key),
          },
        }),
  });

  /** The engine also takes ids and their prefixes for a name: only the exact name is the service that was meant. */
  async function service(name: string): Promise<{ service: ServiceWire; workload: Workload } | undefined> {
    const raw = await engine.read(`/services/${encodeURIComponent(name)}`);
    const read = raw === undefined ? undefined : ServiceWire.safeParse(raw);
    if (read === undefined) return undefined;
    if (!read.success) throw senseless(config.name, "a service", read.error);
    if (read.data.Spec.Name !== name || isJob(read.data)) return undefined;
    return { service: read.data, workload: toWorkload(config.name, read.data, specOnly(raw)) };
  }

  return {
    name: config.name,
    kind: config.kind,
    capabilities: { pins: true, fences: true, rollsBackTo: "any" },

    async list() {
      const workloads: Workload[] = [];
      await engine.list("/services?status=true", (row) => {
        // A row without an image is a plugin's; one that cannot be read stops no other one.
        const read = ServiceWire.safeParse(row);
        if (read.success && !isJob(read.data)) workloads.push(toWorkload(config.name, read.data, undefined));
      });
      return workloads;
    },

    async get(name) {
      return (await service(name))?.workload;
    },

    async update(workload, change) {
      const image = change.images[workload.name];
      if (image === undefined) {
        return { kind: "refused", message: `a service has one container, named ${workload.name}` };
      }
      const raw = workload.raw as RawService | undefined;
      // It was listed, not read.
      if (raw === undefined) return { kind: "conflict" };
      const path = `/services/${encodeURIComponent(raw.ID)}/update?version=${workload.version}`;
      const body = JSON.stringify(withImage(raw.Spec, image, change));
      const credentials = context.pullCredentials(hostOf(image.repository));
      const headers = {
        "content-type": "application/json",
        ...(credentials === undefined
          ? {}
          : { "x-registry-auth": registryAuth(hostOf(image.repository), credentials) }),
      };
      let answer: HttpAnswer;
      try {
        answer = await engine.call("POST", path, { body, headers });
      } catch (error) {
        if (!(error instanceof HttpError)) throw error;
        if (error.sent) return { kind: "unknown", message: `the engine gave no answer: ${error.message}` };
        throw new TargetUnavailableError(`${config.name}: ${error.message}`, { cause: error });
      }
      const outcome = outcomeOf(answer);
      const refusal = outcome === undefined ? engine.refusal(answer) : undefined;
      if (refusal !== undefined) throw refusal;
      return (
        outcome ?? { kind: "unknown", message: `the engine answered ${answer.status}${wordsOf(answer)}` }
      );
    },

    async look(name) {
      const found = await service(name);
      if (found === undefined) return undefined;
      const filters = encodeURIComponent(JSON.stringify({ service: [found.service.ID] }));
      const tasks = await engine.read(`/tasks?filters=${filters}`);
      const rows = rowsOf(TaskWire, tasks, config.name, "a list of tasks");
      return toLook(found.workload, found.service, rows);
    },

    async platforms() {
      const nodes = rowsOf(NodeWire, await engine.read("/nodes"), config.name, "a list of nodes");
      return nodePlatforms(nodes);
    },

    close: () => engine.close(),
  };
}

/** What a write needs of a service that was read: the rest, a whole previous spec above all, need not stay in memory. */
function specOnly(raw: unknown): RawService {
  const { ID, Spec } = raw as RawService;
  return { ID, Spec };
}

/** What the engine's answer to an update says by itself; `undefined`: it needs a closer look. */
function outcomeOf(answer: HttpAnswer): WriteOutcome | undefined {
  const words = wordsOf(answer);
  switch (answer.status) {
    case 200:
      if (isJsonObject(answer)) return { kind: "accepted" };
      return {
        kind: "unknown",
        message:
          "the answer to the update is none of the engine's: is there something between it and `host`?",
      };
    case 404:
      return isServiceMissing(answer) ? { kind: "gone" } : undefined;
    case 409:
    case 500:
      // A lost race has no status of its own: only the words tell it from other troubles.
      if (/update out of sequence/i.test(words)) return { kind: "conflict" };
      return answer.status === 409
        ? { kind: "refused", message: `the engine refused the update${words}` }
        : undefined;
    case 400:
    case 501:
      return /client version \S+ is too/i.test(words)
        ? undefined
        : { kind: "refused", message: `the engine refused the update${words}` };
    default:
      return undefined;
  }
}

/**
 * The `X-Registry-Auth` header: base64 in the URL-safe alphabet *with* padding. Anything else is taken without a
 * word and makes later pulls anonymous.
 */
export function registryAuth(
  host: string,
  credentials: { readonly username: string; readonly password: string },
): string {
  const { username, password } = credentials;
  const serveraddress = host === "docker.io" ? "https://index.docker.io/v1/" : host;
  const json = JSON.stringify({ username, password, serveraddress });
  return Buffer.from(json).toString("base64").replaceAll("+", "-").replaceAll("/", "_");
}

function rowsOf<T extends z.ZodMiniType>(row: T, value: unknown, target: string, what: string): z.infer<T>[] {
  const read = z.array(row).safeParse(value);
  if (read.success) return read.data;
  throw senseless(target, what, read.error);
}

function senseless(
  target: string,
  what: string,
  error: { readonly issues: readonly { readonly path: readonly PropertyKey[] }[] },
): TargetUnavailableError {
  const where = [...new Set(error.issues.map((issue) => issue.path.join(".")))].slice(0, 5).join(", ");
  return new TargetUnavailableError(
    `${target}: the engine's answer is not ${what}${where === "" ? "" : ` (${where})`}`,
  );
}
