import type { Log } from "../../../shared/log.ts";
import type { Wiring } from "../../wiring.ts";
import type { Runner } from "../runner.ts";
import type { Sandbox } from "./sandbox.ts";

/** `landfall.yaml` for the sandbox: what a person would write for the same systems. */
export function sandboxConfig(sandbox: Sandbox | undefined, hookSecret: string): string {
  if (sandbox === undefined) throw new Error("the sandbox has not been started");
  return `
follow: ["${sandbox.registryHost}/*"]
webhooks:
  - { source: distribution, secrets: ["${hookSecret}"] }
registries:
  - { host: "${sandbox.registryHost}", plainHttp: true }
targets:
  - { name: sandbox, kind: swarmpit, url: "${sandbox.swarmpitUrl}", token: "${sandbox.swarmpitToken}" }
defaults: { verify: { timeout: 2m, stableFor: 2s } }
`;
}

export interface FirstRollout {
  readonly sandbox: Sandbox;
  readonly wiring: Wiring;
  readonly runner: Runner;
  readonly log: Log;
  readonly stopping: AbortSignal;
}

const pollMs = 200;
const patienceMs = 120_000;

/** Pushes once, waits until every service runs it, and only then tells how to push the next one. */
export async function firstRollout({ sandbox, wiring, runner, log, stopping }: FirstRollout): Promise<void> {
  const { ledger, clock } = await wiring.flows();
  const startedMs = clock.monotonic();
  log.write(
    "notice",
    `no LANDFALL_CONFIG: this is the sandbox, a registry at ${sandbox.registryHost} and a Swarmpit with ${sandbox.services} services`,
  );
  log.write("notice", `pushing ${sandbox.registryHost}/${sandbox.image} to the sandbox's registry`);
  const digest = sandbox.push();
  for (;;) {
    await clock.sleep(pollMs, stopping);
    if (stopping.aborted) return;
    const workloads = (await ledger.workloads()).map((each) => each.value);
    const there = workloads.filter((each) => Object.values(each.deployed ?? {}).includes(digest));
    if (there.length >= sandbox.services && workloads.every((each) => each.open === undefined)) break;
    if (clock.monotonic() - startedMs > patienceMs) {
      log.write("error", "the first rollout is not done; `npx landfall status` tells why");
      return;
    }
  }
  const seconds = ((clock.monotonic() - startedMs) / 1000).toFixed(1);
  process.stdout.write(`
From push to rolled out and verified: ${seconds} s.

  push the next one      curl -X POST http://${sandbox.registryHost}/sandbox/push/${sandbox.image}
  a broken one           curl -X POST http://${sandbox.registryHost}/sandbox/push/${sandbox.image} -d '{"command":["exit","1"]}'
  with Docker            docker push ${sandbox.registryHost}/${sandbox.image}
  what runs, and why     npx landfall status
                         npx landfall explain ${sandbox.registryHost}/${sandbox.image}
  stop                   Ctrl-C

Landfall itself answers on ${runner.url}
`);
  await sandbox.save();
}
