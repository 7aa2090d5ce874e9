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

/** Ends what an earlier run left, pushes once, and tells how to push the next one when every service runs it. */
export async function firstRollout({ sandbox, wiring, runner, log, stopping }: FirstRollout): Promise<void> {
  const { ledger, clock } = await wiring.flows();
  const workloads = async () => (await ledger.workloads()).map((each) => each.value);
  /** @returns whether it came to be in time, and nobody stopped us meanwhile */
  const until = async (satisfied: () => Promise<boolean>): Promise<boolean> => {
    const startedMs = clock.monotonic();
    while (!(await satisfied())) {
      if (stopping.aborted || clock.monotonic() - startedMs > patienceMs) return false;
      await clock.sleep(pollMs, stopping);
    }
    return !stopping.aborted;
  };
  const atRest = async () => (await workloads()).every((each) => each.open === undefined);

  log.write(
    "notice",
    `no LANDFALL_CONFIG: this is the sandbox, a registry at ${sandbox.registryHost} and a Swarmpit with ${sandbox.services} services`,
  );
  if (!(await atRest())) {
    log.write("notice", "an earlier run left rollouts under way: they come first");
    await until(atRest);
  }
  if (stopping.aborted) return;
  log.write("notice", `pushing ${sandbox.registryHost}/${sandbox.image} to the sandbox's registry`);
  const startedMs = clock.monotonic();
  const digest = sandbox.push();
  const everywhere = async () => {
    const there = (await workloads()).filter((each) => Object.values(each.deployed ?? {}).includes(digest));
    return there.length >= sandbox.services && (await atRest());
  };
  if (!(await until(everywhere))) {
    if (!stopping.aborted)
      log.write("error", "the first rollout is not done; `npx landfall status` tells why");
    return;
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
