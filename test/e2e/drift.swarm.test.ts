import { randomBytes } from "node:crypto";
import { afterAll } from "vitest";
import { driftSentences } from "./drift-sentences.ts";
import { swarm } from "./services.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const engine = swarm();
const prefix = `e2e-drift-swarm-${randomBytes(2).toString("hex")}-`;
afterAll(async () => {
  await engine.remove(prefix);
  await engine.removeImages(`${bed.registry}/e2e-drift/${prefix}*`);
  engine.close();
});

driftSentences("a real Docker Swarm", {
  prefix,
  target: async () => ({ kind: "swarm", host: bed.dockerHost }),
  create: (workloads) => engine.create(workloads),
  addressOf: (name) => name,
  stand: (name) => engine.stand(name),
  async putBack(name, image) {
    await bed.docker("service", "rollback", "--detach", name);
    await engine.settled(name, image);
  },
});
