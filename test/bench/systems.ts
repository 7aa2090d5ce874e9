import { fork } from "node:child_process";
import { once } from "node:events";
import type { SandboxRegistry } from "../../functions/local/sandbox/registry/registry.ts";
import { startSandboxRegistry } from "../../functions/local/sandbox/registry/registry.ts";
import { type SmallSwarm, smallSwarm } from "../../functions/local/sandbox/swarm/small-swarm.ts";
import type { Clock } from "../../shared/clock.ts";
import { isDigest } from "../../shared/domain/reference.ts";
import { httpClient } from "../../shared/http.ts";
import { testbed } from "../e2e/testbed.ts";
import { type BareTarget, bareSwarm } from "./bare-calls.ts";

/** A registry, and a Swarm or a cluster to deploy to, over HTTP. */
export interface Systems {
  readonly name: string;
  /** `host:port`, plain HTTP. */
  readonly registry: string;
  /** What is deployed to, as the configuration has it. */
  readonly target: object;
  /** The same with nothing around it. */
  bare(): BareTarget;
  /** Pushes a new image. @param repository without host */
  push(repository: string, tag: string): Promise<string>;
  stop(): Promise<void>;
}

/** The sandbox in a process of its own, as other systems are. */
export async function sandboxSystems(): Promise<Systems> {
  const child = fork(new URL("processes/sandbox.ts", import.meta.url));
  const [at] = (await once(child, "message")) as [{ readonly registry: string; readonly engine: string }];
  return {
    name: "sandbox",
    registry: at.registry,
    ...swarmAt(at.engine),
    push: async (repository, tag) => {
      const answer = await fetch(`http://${at.registry}/sandbox/push/${repository}:${tag}`, {
        method: "POST",
      });
      const { digest } = (await answer.json()) as { readonly digest?: unknown };
      if (!isDigest(digest)) throw new Error(`the sandbox did not take a push: ${answer.status}`);
      return digest;
    },
    stop: async () => {
      const gone = once(child, "exit");
      child.disconnect();
      await gone;
    },
  };
}

const needed = ["TESTBED_REGISTRY", "TESTBED_DOCKER_HOST", "TESTBED_BASE_IMAGE"] as const;

/** The real systems that the environment names; `undefined` when it names none. */
export function testbedSystems(): Systems | undefined {
  if (needed.some((name) => (process.env[name] ?? "") === "")) return undefined;
  const bed = testbed();
  return {
    name: "testbed",
    registry: bed.registry,
    ...swarmAt(bed.dockerHost),
    push: pushesTo(bed),
    stop: async () => {},
  };
}

/** Pushes to the real registry, a new image each time. */
export function pushesTo(bed: Pick<ReturnType<typeof testbed>, "pushImage">): Systems["push"] {
  let built = 0;
  return (repository, tag) =>
    bed.pushImage(repository, tag, { labels: { build: `${process.pid}-${++built}` } });
}

/** @param engine `unix:///…` or `tcp://host:port` */
function swarmAt(engine: string): Pick<Systems, "target" | "bare"> {
  return { target: { name: "swarm", kind: "swarm", host: engine }, bare: () => bareSwarm(engine) };
}

export const testbedVariables = needed.join(", ");

/** The sandbox's registry and Swarm in this process, where their calls can be counted. */
export async function startSandbox(clock: Clock): Promise<{
  readonly registry: SandboxRegistry;
  readonly swarm: SmallSwarm;
  readonly engine: string;
  stop(): Promise<void>;
}> {
  const registry = await startSandboxRegistry();
  const http = httpClient();
  const swarm = smallSwarm({
    clock,
    timing: { beginMs: 20, pullMs: 20, startMs: 20, stopMs: 20 },
    content: async (kind, image, reference) => {
      const url = `${registry.url}/v2/${image.slice(image.indexOf("/") + 1)}/${kind}/${reference}`;
      const headers = {
        accept: "application/vnd.docker.distribution.manifest.v2+json",
        "user-agent": "docker",
      };
      const answer = await http.request({
        method: "GET",
        url,
        headers,
        deadlineMs: 5_000,
        maxBytes: 2 ** 24,
      });
      const type = answer.headers["content-type"];
      return answer.status === 200 ? { mediaType: String(type), bytes: answer.body } : undefined;
    },
  });
  const server = await swarm.listen(0);
  return {
    registry,
    swarm,
    engine: `tcp://127.0.0.1:${server.port}`,
    stop: async () => {
      await Promise.all([server.close(), registry.stop(), http.close()]);
    },
  };
}
