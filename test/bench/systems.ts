import { fork } from "node:child_process";
import { once } from "node:events";
import type { SandboxRegistry } from "../../functions/local/sandbox/registry/registry.ts";
import { startSandboxRegistry } from "../../functions/local/sandbox/registry/registry.ts";
import { type SmallSwarm, smallSwarm } from "../../functions/local/sandbox/swarm/small-swarm.ts";
import type { Clock } from "../../shared/clock.ts";
import { isDigest } from "../../shared/domain/reference.ts";
import { httpClient } from "../../shared/http.ts";
import { testbed } from "../e2e/testbed.ts";

/** A registry and a Swarm to deploy to, both over HTTP. */
export interface Systems {
  readonly name: "sandbox" | "testbed";
  /** `host:port`, plain HTTP. */
  readonly registry: string;
  /** `unix:///…` or `tcp://host:port` */
  readonly engine: string;
  /** Pushes a new image. @param repository without host */
  push(repository: string, tag: string): Promise<string>;
  stop(): Promise<void>;
}

/** The sandbox in a process of its own, as other systems are. */
export async function sandboxSystems(): Promise<Systems> {
  const child = fork(new URL("processes/sandbox.ts", import.meta.url));
  const [at] = (await once(child, "message")) as [Pick<Systems, "registry" | "engine">];
  return {
    name: "sandbox",
    ...at,
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
  let built = 0;
  return {
    name: "testbed",
    registry: bed.registry,
    engine: bed.dockerHost,
    push: (repository, tag) =>
      bed.pushImage(repository, tag, { labels: { build: `${process.pid}-${++built}` } }),
    stop: async () => {},
  };
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
