import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

export type Json = { [key: string]: unknown };

/** An object as the API stores it. */
export interface Stored extends Json {
  metadata: Json & {
    name: string;
    namespace: string;
    uid: string;
    resourceVersion: string;
    generation?: number;
    creationTimestamp: string;
  };
}

export interface ApiRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** What happens to the next request that fits, in place of an answer or after it was acted on. */
export type Fault = { readonly on: RegExp; readonly times?: number } & (
  | { readonly kind: "answer"; readonly status: number; readonly body: string; readonly headers?: Json }
  | { readonly kind: "drop" }
  /** The request is done, and its answer lost. */
  | { readonly kind: "lose-answer" }
);

export interface KubernetesApi {
  /** `http://127.0.0.1:port`. */
  readonly server: string;
  readonly requests: readonly ApiRequest[];
  /** What the API serves, e.g. `/apis/apps/v1/deployments`; another path is no API of this cluster. */
  readonly served: Set<string>;
  /** Tokens that are accepted; empty: anybody. */
  readonly tokens: Set<string>;
  /** Now, ms: what new objects are created at. */
  nowMs: number;
  /** Items of one page, however many are asked for. */
  pageSize: number;
  /** What admission makes of an object that was patched. */
  admit: (object: Stored) => Stored;
  /** What a list answers in place of itself, e.g. a 410; `undefined`: nothing. */
  refuseList: (path: string, query: URLSearchParams) => string | undefined;
  inject(fault: Fault): void;
  /** Creates or replaces, e.g. at `/apis/apps/v1/namespaces/shop/deployments/web`. */
  put(path: string, object: Json): Stored;
  find(path: string): Stored | undefined;
  /** Objects of a kind, e.g. of `/api/v1/pods`. */
  all(collection: string): readonly (readonly [path: string, object: Stored])[];
  remove(path: string): void;
  close(): Promise<void>;
}

const collections = [
  "/apis/apps/v1/deployments",
  "/apis/apps/v1/statefulsets",
  "/apis/apps/v1/daemonsets",
  "/apis/apps/v1/replicasets",
  "/apis/apps/v1/controllerrevisions",
  "/apis/batch/v1beta1/cronjobs",
  "/api/v1/pods",
  "/api/v1/events",
];

/** An API server that keeps what it is given, with the manners of a real one (1.20) towards lists and patches. */
export async function kubernetesApi(): Promise<KubernetesApi> {
  const objects = new Map<string, Stored>();
  const requests: ApiRequest[] = [];
  const faults: Fault[] = [];
  let version = 500;

  const server = createServer((request, response) => void serve(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://api");
    const { pathname: path, searchParams: query } = url;
    const asked = {
      method: request.method ?? "",
      path,
      query,
      headers: request.headers,
      body: await text(request),
    };
    requests.push(asked);
    const fault = faultFor(`${asked.method} ${path}`);
    if (fault?.kind === "drop") return void request.socket.destroy();
    const answer = fault?.kind === "answer" ? fault : handle(asked);
    if (fault?.kind === "lose-answer") return void request.socket.destroy();
    response.writeHead(answer.status, { "content-type": "application/json", ...answer.headers } as Record<
      string,
      string
    >);
    response.end(answer.body);
  }

  function faultFor(line: string): Fault | undefined {
    const index = faults.findIndex(({ on }) => on.test(line));
    const fault = faults[index];
    if (fault === undefined) return undefined;
    const { times = 1 } = fault;
    if (times > 1) faults[index] = { ...fault, times: times - 1 };
    else faults.splice(index, 1);
    return fault;
  }

  function handle(asked: ApiRequest): Answer {
    const [, token = ""] = /^Bearer (.*)$/.exec(asked.headers.authorization ?? "") ?? [];
    if (api.tokens.size > 0 && !api.tokens.has(token)) return status(401, "Unauthorized", "Unauthorized");
    const place = placeOf(asked.path);
    if (place === undefined || !api.served.has(place.collection)) {
      return status(404, "NotFound", "the server could not find the requested resource", {});
    }
    if (place.name === undefined) return list(asked, place);
    const found = objects.get(asked.path);
    if (found === undefined) {
      const what = `${place.plural}.apps "${place.name}" not found`;
      return status(404, "NotFound", what, { name: place.name, group: "apps", kind: place.plural });
    }
    switch (asked.method) {
      case "GET":
        return json(200, found);
      case "PATCH":
        return patch(asked, found);
      case "DELETE":
        objects.delete(asked.path);
        return json(200, found);
      default:
        return status(405, "MethodNotAllowed", "the server does not allow this method");
    }
  }

  function list({ path, query }: ApiRequest, { collection, namespace }: Place): Answer {
    const refusal = api.refuseList(path, query);
    if (refusal !== undefined)
      return { status: (JSON.parse(refusal) as { code: number }).code, body: refusal };
    const labels = (query.get("labelSelector") ?? "").split(",").filter((each) => each.includes("="));
    const [, about] = /involvedObject\.uid=([^,]+)/.exec(query.get("fieldSelector") ?? "") ?? [];
    const found = api
      .all(collection)
      .map(([, object]) => object)
      .filter(({ metadata }) => namespace === undefined || metadata.namespace === namespace)
      .filter(({ metadata }) =>
        labels.every(
          (each) =>
            `${(metadata.labels as Json | undefined)?.[each.split("=")[0] ?? ""]}` === each.split("=")[1],
        ),
      )
      .filter((object) => about === undefined || (object.involvedObject as Json | undefined)?.uid === about);
    const start = Number(query.get("continue") ?? 0);
    const end = start + Math.min(api.pageSize, Number(query.get("limit") ?? Infinity));
    const more = end < found.length ? { continue: String(end), remainingItemCount: found.length - end } : {};
    // Items of a list carry no kind.
    const items = found.slice(start, end).map(({ kind: _, apiVersion: __, ...item }) => item);
    return json(200, { kind: "List", metadata: { resourceVersion: String(version), ...more }, items });
  }

  function patch(asked: ApiRequest, found: Stored): Answer {
    if (asked.headers["content-type"] !== "application/strategic-merge-patch+json") {
      return status(415, "UnsupportedMediaType", "415: Unsupported Media Type");
    }
    const wanted = JSON.parse(asked.body) as Json & { metadata?: Json };
    const { resourceVersion, ...metadata } = wanted.metadata ?? {};
    if (resourceVersion !== undefined && resourceVersion !== found.metadata.resourceVersion) {
      const what = `Operation cannot be fulfilled on deployments.apps "${found.metadata.name}": the object has been modified; please apply your changes to the latest version and try again`;
      return status(409, "Conflict", what, { name: found.metadata.name, kind: "deployments" });
    }
    const merged = api.admit(merge(found, { ...wanted, metadata }) as Stored);
    if (JSON.stringify(merged) === JSON.stringify(found)) return json(200, found);
    const isSpec = JSON.stringify(merged.spec) !== JSON.stringify(found.spec);
    // A Deployment's generation also follows its annotations.
    const next =
      isSpec || asked.path.includes("/deployments/")
        ? { generation: (found.metadata.generation ?? 0) + 1 }
        : {};
    return json(200, api.put(asked.path, { ...merged, metadata: { ...merged.metadata, ...next } }));
  }

  const api: KubernetesApi = {
    server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    served: new Set(collections),
    tokens: new Set(),
    nowMs: Date.UTC(2026, 0, 5, 12),
    pageSize: 500,
    admit: (object) => object,
    refuseList: () => undefined,
    inject: (fault) => void faults.push(fault),
    put(path, object) {
      const place = placeOf(path);
      if (place?.name === undefined || place.namespace === undefined)
        throw new Error(`${path} names no object`);
      version += 1;
      const before = objects.get(path)?.metadata;
      const stored = {
        ...object,
        metadata: {
          uid: before?.uid ?? `uid-${version}`,
          generation: 1,
          creationTimestamp: new Date(api.nowMs).toISOString().replace(".000", ""),
          ...(object.metadata as Json | undefined),
          name: place.name,
          namespace: place.namespace,
          resourceVersion: String(version),
        },
      };
      objects.set(path, stored);
      return stored;
    },
    find: (path) => objects.get(path),
    all: (collection) => [...objects].filter(([path]) => placeOf(path)?.collection === collection),
    remove: (path) => void objects.delete(path),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return api;
}

/** An answer's body that tells of a failure, as the API writes it. */
export function statusBody(code: number, reason: string, message: string, details?: object): string {
  return JSON.stringify({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message,
    reason,
    ...(details === undefined ? {} : { details }),
    code,
  });
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers?: Json;
}

interface Place {
  readonly collection: string;
  readonly namespace: string | undefined;
  readonly plural: string;
  readonly name: string | undefined;
}

function placeOf(path: string): Place | undefined {
  const match = /^(\/api\/v1|\/apis\/[^/]+\/[^/]+)(?:\/namespaces\/([^/]+))?\/([^/]+)(?:\/([^/]+))?$/.exec(
    path,
  );
  const [, api, namespace, plural, name] = match ?? [];
  if (api === undefined || plural === undefined) return undefined;
  return { collection: `${api}/${plural}`, namespace, plural, name };
}

function json(status: number, value: unknown): Answer {
  return { status, body: JSON.stringify(value) };
}

function status(code: number, reason: string, message: string, details?: object): Answer {
  return { status: code, body: statusBody(code, reason, message, details) };
}

/** Strategic merge: objects key by key, `null` takes away, lists of containers by `name`; an unknown one is added in front. */
function merge(found: unknown, wanted: unknown): unknown {
  if (wanted === null) return undefined;
  if (Array.isArray(wanted) && Array.isArray(found)) {
    const named = (each: unknown) => (each as { name?: string }).name;
    const added = wanted.filter((each) => !found.some((other) => named(other) === named(each)));
    return [
      ...added,
      ...found.map((each) => merge(each, wanted.find((other) => named(other) === named(each)) ?? {})),
    ];
  }
  if (typeof wanted !== "object" || Array.isArray(wanted)) return wanted;
  const before = (typeof found === "object" && found !== null ? found : {}) as Json;
  const merged = { ...before };
  for (const [key, value] of Object.entries(wanted)) {
    const next = merge(before[key], value);
    if (next === undefined) delete merged[key];
    else merged[key] = next;
  }
  return merged;
}
