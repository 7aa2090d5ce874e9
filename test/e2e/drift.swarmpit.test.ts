import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect } from "vitest";
import { engineAt } from "../../functions/local/sandbox/swarmpit/engine.ts";
import {
  type SandboxSwarmpit,
  startSandboxSwarmpit,
} from "../../functions/local/sandbox/swarmpit/swarmpit.ts";
import { systemClock } from "../../shared/clock.ts";
import { driftSentences } from "./drift-sentences.ts";
import { swarm } from "./services.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const engine = swarm();
const prefix = `e2e-drift-pit-${randomBytes(2).toString("hex")}-`;
const behind = engineAt(bed.dockerHost);
let swarmpit: SandboxSwarmpit;
let token = "";

beforeAll(async () => {
  const registryAccounts = [{ url: `http://${bed.registry}` }];
  swarmpit = await startSandboxSwarmpit({ engine: behind, clock: systemClock, registryAccounts });
  // With `Bearer ` in front, as Swarmpit shows it; a new one would end the one before.
  token = swarmpit.token();
});
afterAll(async () => {
  await engine.remove(prefix);
  await engine.removeImages(`${bed.registry}/e2e-drift/${prefix}*`);
  await swarmpit.close();
  await behind.close();
  engine.close();
});

driftSentences("a Swarmpit over a real Docker Swarm", {
  prefix,
  // By Landfall right before it, and by Swarmpit in it.
  headsPerRedeploy: 2,
  target: async () => ({ kind: "swarmpit", url: swarmpit.url, token }),
  create: (workloads) => engine.create(workloads),
  addressOf: (name) => name,
  stand: (name) => engine.stand(name),
  async putBack(name, image) {
    const answer = await fetch(`${swarmpit.url}/services/${name}/rollback`, {
      method: "POST",
      headers: { authorization: token },
    });
    expect(answer.status).toBe(202);
    await engine.settled(name, image);
  },
});
