import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import * as z from "zod/mini";
import { type Digest, isTag, parseRepository } from "../../../../shared/domain/reference.ts";
import { gate, type SandboxAuth } from "./auth.ts";
import { type PushEnvelope, pushEnvelope } from "./events.ts";
import { type Answer, answerInstead, Faults, sendBadly, spoil } from "./faults.ts";
import { buildImage, type ImageOptions } from "./image.ts";
import { type Call, failure, json } from "./protocol.ts";
import { answer } from "./routes.ts";
import { RegistryState, RegistryStore } from "./store.ts";

export interface SandboxRegistryOptions {
  /** Default: any free one. */
  readonly port?: number;
  /** The address to listen on, default 127.0.0.1. */
  readonly host?: string;
  readonly auth?: SandboxAuth;
  /** Told of every manifest and blob that is pushed, before the push is answered. Must not throw. */
  readonly onPush?: (envelope: PushEnvelope) => void;
  /** What an earlier registry's `snapshot` gave. */
  readonly state?: RegistryState;
}

/** A request that was answered. */
interface LoggedRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly userAgent: string;
  /** 0: no answer was sent. */
  readonly status: number;
}

type PushOptions = Omit<ImageOptions, "content"> & Partial<Pick<ImageOptions, "content">>;

export interface SandboxRegistry {
  /** As image names have it, e.g. `127.0.0.1:41234`. */
  readonly host: string;
  /** e.g. `http://127.0.0.1:41234` */
  readonly url: string;
  /** The latest 10,000, oldest first. */
  readonly requests: readonly LoggedRequest[];
  readonly faults: Faults;
  /** Does what `docker push` would: blobs, manifests, tag, and a notification of each. New content unless given. */
  push(repository: string, tag: string, options?: PushOptions): Digest;
  /** Every token that was given is refused from now on. */
  revokeTokens(): void;
  forgetRequests(): void;
  snapshot(): RegistryState;
  restore(state: RegistryState): void;
  stop(): Promise<void>;
}

/** Body of `POST /sandbox/push/{repository}:{tag}`; may be left away. */
const PushBody = z.strictObject({
  content: z.optional(z.string()),
  command: z.optional(z.array(z.string())),
});

const maxBodyBytes = 512 * 1024 * 1024;
const maxLogged = 10_000;
const pushPath = "/sandbox/push/";

/** An OCI registry on real HTTP that keeps everything in memory and answers as Distribution 2.8 does. */
export async function startSandboxRegistry(options: SandboxRegistryOptions = {}): Promise<SandboxRegistry> {
  const store = new RegistryStore();
  if (options.state !== undefined) store.restore(RegistryState.parse(options.state));
  const guard = gate(options.auth);
  const faults = new Faults();
  const notify = options.onPush ?? (() => {});
  const requests: LoggedRequest[] = [];
  const server = createServer((request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, options.host ?? "127.0.0.1", () => {
      server.off("error", reject);
      resolve();
    });
  });
  const { address, port } = server.address() as AddressInfo;
  const host = `${address}:${port}`;

  const push = (repository: string, tag: string, wanted: PushOptions = {}): Digest => {
    const { blobs, children, manifest } = buildImage({ ...wanted, content: wanted.content ?? randomUUID() });
    const origin = { host, method: "PUT", userAgent: "sandbox", actor: options.auth?.username ?? "" };
    for (const blob of blobs) {
      const digest = store.putBlob(repository, blob);
      notify(pushEnvelope(origin, { action: "push", repository, digest, size: blob.length }));
    }
    for (const { mediaType, bytes, digest } of [...children, manifest]) {
      const tagged = digest === manifest.digest ? tag : undefined;
      store.putManifest(repository, mediaType, bytes, tagged);
      const named = tagged === undefined ? {} : { tag: tagged };
      const subject = {
        action: "push",
        repository,
        digest,
        size: bytes.length,
        mediaType,
        ...named,
      } as const;
      notify(pushEnvelope(origin, subject));
    }
    return manifest.digest;
  };

  const pushOnRequest = ({ method, url, body }: Call): Answer => {
    const [, repository = "", tag = ""] = /^(.+):([^:/]+)$/.exec(url.pathname.slice(pushPath.length)) ?? [];
    if (parseRepository(`${host}/${repository}`).kind === "invalid" || !isTag(tag)) {
      return failure(404, "NAME_INVALID", `expected ${pushPath}repository:tag, e.g. ${pushPath}acme/web:v2`);
    }
    if (method !== "POST") return failure(405, "UNSUPPORTED", "expected POST");
    const wanted = PushBody.safeParse(readJson(body));
    if (!wanted.success) {
      return failure(400, "INVALID", 'expected no body, or JSON such as {"command":["exit","1"]}');
    }
    const { content, command } = wanted.data;
    const digest = push(repository, tag, {
      ...(content === undefined ? {} : { content }),
      ...(command === undefined ? {} : { command }),
    });
    const answer = json(201, { image: `${host}/${repository}:${tag}`, digest });
    // Read in a terminal: the prompt begins on a line of its own.
    return { ...answer, body: Buffer.concat([answer.body, Buffer.from("\n")]) };
  };

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = "GET", url: path = "/" } = request;
    const log = (status: number) => {
      requests.push({ method, path, userAgent: request.headers["user-agent"] ?? "", status });
      if (requests.length > maxLogged) requests.shift();
    };
    const body = await bodyOf(request);
    const fault = faults.meet({ method, path });
    const instead = answerInstead(fault);
    if (instead === "hang") return log(0);
    if (instead === "reset" || instead === "not-http" || body === undefined) {
      if (instead === "not-http") response.socket?.write("SSH-2.0-OpenSSH_9.9\r\n");
      response.socket?.destroySoon();
      return log(0);
    }
    const call: Call = {
      method,
      url: new URL(`http://${host}${path.startsWith("/") ? path : "/"}`),
      header: (name) => {
        const value = request.headers[name];
        return Array.isArray(value) ? value.join(", ") : value;
      },
      body,
    };
    const plain =
      instead ??
      (call.url.pathname.startsWith(pushPath)
        ? pushOnRequest(call)
        : answer(store, guard, notify, call, fault));
    const spoilt = spoil(plain, fault);
    log(fault?.kind === "lost-answer" ? 0 : spoilt.status);
    if (fault?.kind === "lost-answer") {
      response.socket?.destroy();
    } else if (fault?.kind === "half-body" || fault?.kind === "slow-drip") {
      sendBadly(response, spoilt, method !== "HEAD", fault);
    } else {
      response.writeHead(spoilt.status, {
        "docker-distribution-api-version": "registry/2.0",
        ...spoilt.headers,
        ...(spoilt.status === 204 || spoilt.status === 304 ? {} : { "content-length": spoilt.body.length }),
      });
      response.end(method === "HEAD" ? undefined : spoilt.body);
    }
  };

  return {
    host,
    url: `http://${host}`,
    requests,
    faults,
    push,
    revokeTokens: guard.revokeTokens,
    forgetRequests: () => {
      requests.length = 0;
    },
    snapshot: () => store.snapshot(),
    restore: (state) => store.restore(RegistryState.parse(state)),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** `undefined`: larger than the sandbox takes, or broken off. */
async function bodyOf(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBodyBytes) return undefined;
      chunks.push(chunk);
    }
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks);
}

/** An empty body is an empty object; `undefined` when it is no JSON. */
function readJson(body: Buffer): unknown {
  if (body.length === 0) return {};
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}
