import { isDeepStrictEqual } from "node:util";
import { parseReference } from "../../../../shared/domain/reference.ts";
import { messageOf } from "../../../../shared/errors.ts";
import { type FetchContent, pull } from "./image.ts";
import { type Progress, reconcile, say } from "./progress.ts";
import { bump, type NodeCredentials, newId, record, type ServiceRecord, type ServiceSpec } from "./state.ts";
import { infoWire, nodeWire, serviceWire, taskWire } from "./wire.ts";

export interface EngineContext {
  readonly progress: Progress;
  readonly content: FetchContent;
  readonly nowMs: number;
  readonly versions: { readonly newest: string; readonly oldest: string };
  /** The `X-Registry-Auth` header as it came. */
  readonly registryAuth: string | undefined;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

type Filters = Readonly<Record<string, readonly string[]>>;

const serviceFilters = new Set(["id", "label", "mode", "name"]);
const taskFilters = new Set(["desired-state", "id", "service"]);

/** The calls of the Docker Engine API that a deployer makes, with the status and words of a real manager. */
export async function engineApi(
  context: EngineContext,
  method: string,
  url: URL,
  body: string,
): Promise<Answer> {
  const { state } = context.progress;
  const [, kind = "", ...rest] = url.pathname.split("/").map(decodeURIComponent);
  switch (`${method} ${kind}`) {
    case "GET version":
      return ok({
        Version: "20.10.24",
        ApiVersion: context.versions.newest,
        MinAPIVersion: context.versions.oldest,
        Os: "linux",
        Arch: "amd64",
      });
    case "GET info":
      return ok(infoWire);
    case "GET nodes":
      return ok([nodeWire]);
    case "GET distribution":
      return distribution(context, rest.slice(0, -1).join("/"));
    case "GET tasks": {
      const filters = filtersOf(url, taskFilters);
      if ("refusal" in filters) return refuse(400, filters.refusal);
      const named = filters.all.service?.map((name) => find(context, name)?.id ?? name);
      const tasks = state.tasks.filter(
        (task) =>
          (named?.includes(task.serviceId) ?? true) &&
          (filters.all["desired-state"]?.includes(task.desired) ?? true) &&
          (filters.all.id?.some((id) => task.id.startsWith(id)) ?? true),
      );
      return ok(tasks.map(taskWire));
    }
    case "GET services": {
      const [name] = rest;
      if (name !== undefined) {
        const service = find(context, name);
        return service === undefined
          ? refuse(404, `service ${name} not found`)
          : ok(serviceWire(state, service, false));
      }
      const filters = filtersOf(url, serviceFilters);
      if ("refusal" in filters) return refuse(400, filters.refusal);
      const found = state.services.filter((service) => passes(service, filters.all));
      return ok(
        found.map((service) => serviceWire(state, service, url.searchParams.get("status") === "true")),
      );
    }
    case "POST services":
      if (rest[0] === "create") return create(context, body);
      if (rest[1] === "update") return update(context, rest[0] ?? "", url.searchParams, body);
      return refuse(404, "page not found");
    case "DELETE services": {
      const [name = ""] = rest;
      const service = find(context, name);
      if (service === undefined) return refuse(404, `service ${name} not found`);
      state.services.splice(state.services.indexOf(service), 1);
      state.tasks = state.tasks.filter((task) => task.serviceId !== service.id);
      record(state, service, "remove", context.nowMs);
      return ok(undefined);
    }
    default:
      return refuse(404, "page not found");
  }
}

/** Compares `major.minor` as two integers: 1.9 is older than 1.41, and 1.40 is not 1.4. */
export function compareVersions(left: string, right: string): number {
  const [[major = 0, minor = 0], [otherMajor = 0, otherMinor = 0]] = [
    left.split(".").map(Number),
    right.split(".").map(Number),
  ];
  return major - otherMajor || minor - otherMinor;
}

function create(context: EngineContext, body: string): Answer {
  const { state } = context.progress;
  const spec = specOf(body);
  if ("refusal" in spec) return refuse(400, spec.refusal);
  const { Name } = spec.spec;
  if (state.services.some((service) => service.spec.Name === Name)) {
    const conflict = `name conflicts with an existing object: service ${Name} already exists`;
    return refuse(409, `rpc error: code = AlreadyExists desc = ${conflict}`);
  }
  const service: ServiceRecord = {
    id: newId(state, Name),
    version: bump(state),
    createdMs: context.nowMs,
    updatedMs: context.nowMs,
    spec: spec.spec,
    previousSpec: undefined,
    credentials: credentialsOf(context.registryAuth),
    previousCredentials: undefined,
    status: undefined,
    rollout: undefined,
  };
  state.services.push(service);
  record(state, service, "create", context.nowMs);
  reconcile(context.progress, service, "update", context.nowMs);
  return { status: 201, body: { ID: service.id } };
}

function update(context: EngineContext, name: string, query: URLSearchParams, body: string): Answer {
  const { state } = context.progress;
  const version = query.get("version") ?? "";
  if (!/^\d+$/.test(version)) {
    const parse = `strconv.ParseUint: parsing "${version}": invalid syntax`;
    return refuse(400, `invalid service version '${version}': ${parse}`);
  }
  const posted = specOf(body);
  if ("refusal" in posted) return refuse(400, posted.refusal);
  const service = find(context, name);
  if (service === undefined) return refuse(404, `service ${name} not found`);
  const back = query.get("rollback") ?? "";
  if (back !== "" && back !== "previous") return refuse(500, `unrecognized rollback option ${back}`);
  const from = query.get("registryAuthFrom") ?? "";
  if (!["", "spec", "previous-spec"].includes(from)) {
    return refuse(500, "unsupported registryAuthFrom value");
  }
  if (from === "previous-spec" && service.previousSpec === undefined) {
    return refuse(500, "service does not have a previous spec");
  }
  if (Number(version) !== service.version) {
    return refuse(500, "rpc error: code = Unknown desc = update out of sequence");
  }
  const old = service.spec;
  const next = back === "" ? posted.spec : service.previousSpec;
  if (next === undefined) {
    const missing = `service ${service.id} does not have a previous spec`;
    return refuse(400, `rpc error: code = FailedPrecondition desc = ${missing}`);
  }
  if (next.Name !== old.Name) {
    return refuse(501, "rpc error: code = Unimplemented desc = renaming services is not supported");
  }
  if (!isDeepStrictEqual(Object.keys(next.Mode ?? {}), Object.keys(old.Mode ?? {}))) {
    return refuse(501, "rpc error: code = Unimplemented desc = service mode change is not allowed");
  }

  const kept = service.credentials;
  if (back === "previous" || from === "previous-spec") service.credentials = service.previousCredentials;
  else if (context.registryAuth !== undefined) service.credentials = credentialsOf(context.registryAuth);
  service.previousCredentials = kept;
  service.previousSpec = old;
  service.spec = next;
  service.status = undefined;
  service.version = bump(state);
  service.updatedMs = context.nowMs;
  record(state, service, "update", context.nowMs, {
    "image.old": old.TaskTemplate.ContainerSpec.Image,
    "image.new": next.TaskTemplate.ContainerSpec.Image,
  });
  const kind = back === "" ? "update" : "rollback";
  reconcile(context.progress, service, kind, context.nowMs);
  if (kind === "rollback")
    say(state, service, "rollback_started", "manually requested rollback", context.nowMs);
  return ok({ Warnings: null });
}

async function distribution(context: EngineContext, image: string): Promise<Answer> {
  try {
    const found = await pull(context.content, image, credentialsOf(context.registryAuth));
    if (found === undefined) return refuse(404, "manifest unknown: manifest unknown");
    const { digest, mediaType, size, platforms } = found;
    return ok({ Descriptor: { mediaType, digest, size }, Platforms: platforms });
  } catch (error) {
    return refuse(500, messageOf(error));
  }
}

/** ID, full name or an ID's beginning that only one has. */
function find(context: EngineContext, name: string): ServiceRecord | undefined {
  const { services } = context.progress.state;
  const exact = services.find((service) => service.id === name || service.spec.Name === name);
  const begun = services.filter((service) => name !== "" && service.id.startsWith(name));
  return exact ?? (begun.length === 1 ? begun[0] : undefined);
}

function specOf(body: string): { readonly spec: ServiceSpec } | { readonly refusal: string } {
  if (body === "") return { refusal: "got EOF while reading request body" };
  let parsed: Partial<ServiceSpec> | null;
  try {
    parsed = JSON.parse(body) as Partial<ServiceSpec> | null;
  } catch {
    return { refusal: `invalid character '${body[0]}' looking for beginning of object key string` };
  }
  const image = parsed?.TaskTemplate?.ContainerSpec?.Image;
  if (image === undefined) return { refusal: "mismatched Runtime and *Spec fields" };
  if (parseReference(image).kind === "invalid") {
    const invalid = `ContainerSpec: "${image}" is not a valid repository/tag`;
    return { refusal: `rpc error: code = InvalidArgument desc = ${invalid}` };
  }
  return { spec: parsed as ServiceSpec };
}

/** Only the URL-safe alphabet with padding is understood; anything else makes later pulls anonymous, silently. */
function credentialsOf(header: string | undefined): NodeCredentials | undefined {
  if (header === undefined || header.length % 4 !== 0 || !/^[A-Za-z0-9_-]+={0,2}$/.test(header)) {
    return undefined;
  }
  try {
    const { username, password } = JSON.parse(Buffer.from(header, "base64url").toString());
    return typeof username === "string" && typeof password === "string" ? { username, password } : undefined;
  } catch {
    return undefined;
  }
}

function filtersOf(
  url: URL,
  known: ReadonlySet<string>,
): { readonly all: Filters } | { readonly refusal: string } {
  const asked = url.searchParams.get("filters") ?? "";
  if (asked === "") return { all: {} };
  let all: Filters;
  try {
    all = JSON.parse(asked) as Filters;
  } catch {
    return { refusal: `invalid character '${asked[0]}' looking for beginning of value` };
  }
  const unknown = Object.keys(all).find((name) => !known.has(name));
  return unknown === undefined ? { all } : { refusal: `Invalid filter '${unknown}'` };
}

/** Names and ids match by their beginning, as the engine does. */
function passes(service: ServiceRecord, filters: Filters): boolean {
  const { Name, Labels = {}, Mode } = service.spec;
  const mode = Mode?.Global === undefined ? "replicated" : "global";
  return (
    (filters.name?.some((name) => Name.startsWith(name)) ?? true) &&
    (filters.id?.some((id) => service.id.startsWith(id)) ?? true) &&
    (filters.mode?.includes(mode) ?? true) &&
    (filters.label?.every((label) => {
      const [key = "", ...value] = label.split("=");
      return label.includes("=") ? Labels[key] === value.join("=") : Object.hasOwn(Labels, key);
    }) ??
      true)
  );
}

function ok(body: unknown): Answer {
  return { status: 200, body };
}

function refuse(status: number, message: string): Answer {
  return { status, body: { message } };
}
