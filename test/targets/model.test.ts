import { createHash } from "node:crypto";
import { type Digest, printReference } from "../../shared/domain/reference.ts";
import { TargetUnavailableError } from "../../shared/errors.ts";
import type { Target } from "../../shared/targets/target.ts";
import { targetContract } from "../contracts/target.ts";
import { modelTarget } from "../doubles/model-target.ts";

const behaviours = new Map<Digest | undefined, "runs" | "exits" | "gone">();
let pushes = 0;

targetContract(
  "model target",
  { pins: true, fences: true, rollsBackTo: "any", losesAnswers: true },
  async () => {
    const target = modelTarget("model", { behaviour: (digest) => behaviours.get(digest) ?? "runs" });
    let losing = false;
    const lossy: Target = {
      ...target,
      update: async (workload, change) => {
        const outcome = await target.update(workload, change);
        if (!losing) return outcome;
        losing = false;
        return { kind: "unknown", message: "the answer was lost" };
      },
    };
    return {
      target: lossy,
      unreachable: unreachable(target),
      prefix: "",
      publish: async (tag, behaviour) => {
        const digest: Digest = `sha256:${createHash("sha256").update(String(++pushes)).digest("hex")}`;
        behaviours.set(digest, behaviour);
        return { repository: "docker.io/acme/web", tag, digest };
      },
      createWorkload: async (name, image, options = {}) =>
        target.create(name, printReference(image), options),
      touch: async (name) => target.touch(name),
      remove: async (name) => target.remove(name),
      rest: async (name) => target.rest(name),
      loseNextAnswer: () => {
        losing = true;
      },
      pass: async () => {},
      close: async () => {},
    };
  },
);

function unreachable(target: Target): Target {
  const refuse = () => Promise.reject(new TargetUnavailableError("nothing listens there"));
  return { ...target, list: refuse, get: refuse, look: refuse, update: refuse };
}
