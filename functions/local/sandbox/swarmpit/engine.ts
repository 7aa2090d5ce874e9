import { httpClient } from "../../../../shared/http.ts";

/** The Docker Engine API as a function: the sandbox's small swarm, or a real engine behind `engineAt`. */
export type Engine = (
  method: string,
  path: string,
  body: string | undefined,
  headers: Readonly<Record<string, string>>,
) => Promise<EngineAnswer>;

interface EngineAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: string;
}

/** The fields of a service's spec that Swarmpit reads or changes; all others survive a write untouched. */
export interface DockerSpec {
  readonly Name: string;
  readonly Labels?: Readonly<Record<string, string>> | null;
  readonly TaskTemplate: {
    readonly ContainerSpec: {
      readonly Image: string;
      readonly Labels?: Readonly<Record<string, string>> | null;
      readonly Env?: readonly string[] | null;
      readonly Command?: readonly string[] | null;
      readonly Args?: readonly string[] | null;
      readonly User?: string;
      readonly Dir?: string;
      readonly TTY?: boolean;
    };
    readonly ForceUpdate?: number;
    readonly RestartPolicy?: {
      readonly Condition?: string;
      readonly Delay?: number;
      readonly Window?: number;
      readonly MaxAttempts?: number;
    };
    readonly Placement?: { readonly Constraints?: readonly string[] | null; readonly MaxReplicas?: number };
    readonly LogDriver?: { readonly Name?: string };
  };
  readonly Mode: { readonly Replicated?: { readonly Replicas?: number }; readonly Global?: object };
  readonly UpdateConfig?: DockerUpdateConfig;
  readonly RollbackConfig?: DockerUpdateConfig;
}

export interface DockerUpdateConfig {
  readonly Parallelism?: number;
  /** Nanoseconds. */
  readonly Delay?: number;
  readonly Order?: string;
  readonly FailureAction?: string;
}

export interface DockerService {
  readonly ID: string;
  readonly Version: { readonly Index: number };
  readonly CreatedAt: string;
  readonly UpdatedAt: string;
  readonly Spec: DockerSpec;
  readonly PreviousSpec?: DockerSpec | null;
  readonly UpdateStatus?: { readonly State?: string; readonly Message?: string } | null;
}

export interface DockerTask {
  readonly ID: string;
  readonly Version: { readonly Index: number };
  readonly CreatedAt: string;
  readonly UpdatedAt: string;
  readonly ServiceID: string;
  readonly Slot?: number;
  readonly NodeID?: string;
  readonly Spec: { readonly ContainerSpec?: { readonly Image?: string } };
  readonly Status: { readonly State: string; readonly Err?: string };
  readonly DesiredState: string;
}

/** A failed call, answered to Swarmpit's client with the status that it came with. */
export class Refusal extends Error {
  readonly status: number;
  readonly text: string | null;
  /** Whether Swarmpit's own guards refused, and mark the answer as theirs. */
  readonly marked: boolean;

  constructor(status: number, text: string | null, marked = false) {
    super(text ?? `status ${status}`);
    this.status = status;
    this.text = text;
    this.marked = marked;
  }
}

const dockerDeadlineMs = 5_000;

/** A real engine: `unix:///var/run/docker.sock` or `http://host:port`. */
export function engineAt(dockerHost: string): Engine & { close(): Promise<void> } {
  const socketPath = dockerHost.startsWith("unix://") ? dockerHost.slice("unix://".length) : undefined;
  const origin = socketPath === undefined ? dockerHost.replace(/^tcp:/, "http:") : "http://docker";
  const http = httpClient(socketPath === undefined ? {} : { socketPath });
  const engine: Engine = async (method, path, body, headers) => {
    const answer = await http.request({
      method: method === "POST" ? "POST" : "GET",
      url: `${origin}${path}`,
      headers,
      ...(body === undefined ? {} : { body }),
      deadlineMs: dockerDeadlineMs,
      maxBytes: 256 * 1024 * 1024,
    });
    return { status: answer.status, headers: answer.headers, body: answer.body.toString("utf8") };
  };
  return Object.assign(engine, { close: () => http.close() });
}

/** One call to the engine; Docker's own refusals keep their status and words. */
export async function callEngine(
  engine: Engine,
  method: "GET" | "POST",
  path: string,
  body?: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<unknown> {
  const json = method === "POST" ? { "content-type": "application/json" } : {};
  const answer = await engine(method, path, body, { ...json, ...headers });
  const read = parse(answer.body);
  if (answer.status >= 200 && answer.status < 300) return read;
  const message = typeof read === "object" && read !== null && "message" in read ? read.message : undefined;
  throw new Refusal(answer.status, typeof message === "string" ? message : answer.body.trim() || null);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
