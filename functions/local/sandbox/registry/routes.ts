import { isDigest, isTag, parseRepository } from "../../../../shared/domain/reference.ts";
import type { Gate } from "./auth.ts";
import { type EventSubject, type PushEnvelope, pushEnvelope } from "./events.ts";
import type { Answer, FaultKind } from "./faults.ts";
import { readManifest, schema1Answer, writeManifest } from "./manifests.ts";
import { type Call, empty, failure, json, noRoute, unsupported } from "./protocol.ts";
import type { RegistryStore } from "./store.ts";
import { tagList } from "./tags.ts";

/** The registry itself: one call in, one answer out. */
export function answer(
  store: RegistryStore,
  gate: Gate,
  notify: (envelope: PushEnvelope) => void,
  call: Call,
  fault: FaultKind | undefined,
): Answer {
  const { pathname } = call.url;
  const token = gate.token(call);
  if (token !== undefined) return token;
  const route = routeOf(pathname);
  if (route === undefined) return noRoute();
  const admission = gate.admit(call, {
    repository: "name" in route ? route.name : undefined,
    actions: "name" in route ? actionsOf(call.method) : [],
  });
  if (admission.kind === "refused") return admission.answer;

  const tell = (subject: EventSubject) =>
    notify(
      pushEnvelope(
        {
          host: call.header("host") ?? "",
          method: call.method,
          userAgent: call.header("user-agent") ?? "",
          actor: admission.actor,
        },
        subject,
      ),
    );

  switch (route.kind) {
    case "base":
      return json(200, {});
    case "catalog":
      return json(200, { repositories: store.repositories() });
    case "tags":
      return tagList(store, route.name, call, fault);
    case "manifest":
      return manifest(store, route.name, route.reference, call, fault, tell);
    case "blob":
      return blob(store, route.name, route.digest, call.method);
    case "uploads":
      return openUpload(store, route.name, call, tell);
    case "upload":
      return upload(store, route.name, route.id, call, tell);
    default:
      return route satisfies never;
  }
}

type Route =
  | { readonly kind: "base" | "catalog" }
  | { readonly kind: "tags" | "uploads"; readonly name: string }
  | { readonly kind: "manifest"; readonly name: string; readonly reference: string }
  | { readonly kind: "blob"; readonly name: string; readonly digest: string }
  | { readonly kind: "upload"; readonly name: string; readonly id: string };

function routeOf(pathname: string): Route | undefined {
  if (pathname === "/v2/" || pathname === "/v2") return { kind: "base" };
  if (pathname === "/v2/_catalog") return { kind: "catalog" };
  const [, name = "", what = "", rest = ""] =
    /^\/v2\/(.+?)\/(tags\/list|manifests\/|blobs\/uploads\/|blobs\/)([^/]*)$/.exec(pathname) ?? [];
  if (parseRepository(`sandbox.local/${name}`).kind === "invalid") return undefined;
  switch (what) {
    case "tags/list":
      return rest === "" ? { kind: "tags", name } : undefined;
    case "manifests/":
      return rest.includes(":") || isTag(rest) ? { kind: "manifest", name, reference: rest } : undefined;
    case "blobs/uploads/":
      return rest === "" ? { kind: "uploads", name } : { kind: "upload", name, id: rest };
    case "blobs/":
      return { kind: "blob", name, digest: rest };
    default:
      return undefined;
  }
}

function actionsOf(method: string): readonly string[] {
  if (method === "GET" || method === "HEAD") return ["pull"];
  return method === "DELETE" ? ["delete"] : ["pull", "push"];
}

function manifest(
  store: RegistryStore,
  name: string,
  reference: string,
  call: Call,
  fault: FaultKind | undefined,
  tell: (subject: EventSubject) => void,
): Answer {
  switch (call.method) {
    case "GET":
    case "HEAD":
      return fault?.kind === "schema-1"
        ? schema1Answer(name, reference)
        : readManifest(store, name, reference, call);
    case "PUT": {
      const stored = writeManifest(store, name, reference, call);
      if ("status" in stored) return stored;
      const { digest, mediaType, bytes } = stored;
      const tag = isTag(reference) ? { tag: reference } : {};
      tell({ action: "push", repository: name, digest, size: bytes.length, mediaType, ...tag });
      return empty(201, {
        "docker-content-digest": digest,
        location: `http://${call.header("host")}/v2/${name}/manifests/${digest}`,
      });
    }
    case "DELETE":
      if (!isDigest(reference))
        return failure(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
      return store.deleteManifest(name, reference)
        ? empty(202)
        : failure(404, "MANIFEST_UNKNOWN", "manifest unknown");
    default:
      return unsupported();
  }
}

function blob(store: RegistryStore, name: string, digest: string, method: string): Answer {
  if (method !== "GET" && method !== "HEAD") return unsupported();
  const bytes = isDigest(digest) ? store.blob(name, digest) : undefined;
  if (bytes === undefined) return failure(404, "BLOB_UNKNOWN", "blob unknown to registry", digest);
  return {
    status: 200,
    headers: {
      "content-type": "application/octet-stream",
      "docker-content-digest": digest,
      etag: `"${digest}"`,
    },
    body: bytes,
  };
}

/** POST: mounts a blob of another repository, takes one in a single piece, or opens an upload. */
function openUpload(
  store: RegistryStore,
  name: string,
  call: Call,
  tell: (subject: EventSubject) => void,
): Answer {
  if (call.method !== "POST") return unsupported();
  const { searchParams } = call.url;
  const [mount, from] = [searchParams.get("mount"), searchParams.get("from")];
  if (isDigest(mount) && from !== null && store.mountBlob(name, from, mount)) {
    tell({
      action: "mount",
      repository: name,
      digest: mount,
      size: store.blob(name, mount)?.length ?? 0,
      from,
    });
    return created(name, mount, call);
  }
  const id = store.openUpload(name);
  return searchParams.has("digest") ? finish(store, name, id, call, tell) : progress(name, id, 0, call);
}

/** PATCH appends, PUT ends, GET asks how far it is, DELETE gives up. */
function upload(
  store: RegistryStore,
  name: string,
  id: string,
  call: Call,
  tell: (subject: EventSubject) => void,
): Answer {
  switch (call.method) {
    case "PUT":
      return finish(store, name, id, call, tell);
    case "DELETE":
      return store.dropUpload(name, id) ? empty(204) : uploadUnknown();
    case "GET":
    case "PATCH": {
      const size = store.appendUpload(name, id, call.body);
      return size === undefined ? uploadUnknown() : progress(name, id, size, call);
    }
    default:
      return unsupported();
  }
}

function finish(
  store: RegistryStore,
  name: string,
  id: string,
  call: Call,
  tell: (subject: EventSubject) => void,
): Answer {
  const size = store.appendUpload(name, id, call.body);
  const digest = store.finishUpload(name, id, call.url.searchParams.get("digest") ?? "");
  if (size === undefined || digest === undefined) return uploadUnknown();
  if (digest === "digest-invalid") {
    return failure(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
  }
  tell({ action: "push", repository: name, digest, size });
  return created(name, digest, call);
}

function progress(name: string, id: string, size: number, call: Call): Answer {
  return empty(call.method === "GET" ? 204 : 202, {
    "docker-upload-uuid": id,
    location: `http://${call.header("host")}/v2/${name}/blobs/uploads/${id}?_state=sandbox`,
    range: `0-${Math.max(0, size - 1)}`,
  });
}

function created(name: string, digest: string, call: Call): Answer {
  return empty(201, {
    "docker-content-digest": digest,
    location: `http://${call.header("host")}/v2/${name}/blobs/${digest}`,
  });
}

function uploadUnknown(): Answer {
  return failure(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
}
