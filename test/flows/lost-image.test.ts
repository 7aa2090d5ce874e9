import { expect, it } from "vitest";
import { RegistryUnavailableError } from "../../shared/errors.ts";
import type { FlowDeps } from "../../shared/flows/deps.ts";
import { digestOf, world } from "./world.ts";

interface Case {
  readonly name: string;
  readonly head: FlowDeps["registry"]["head"];
  readonly blame: "image" | "environment";
  readonly held: readonly string[];
}

it.each<Case>([
  {
    name: "is held when the registry does not have it any more",
    head: async () => undefined,
    blame: "image",
    held: [digestOf("b")],
  },
  {
    name: "is not held while the registry has it",
    head: async () => ({ digest: digestOf("b"), mediaType: "application/vnd.oci.image.manifest.v1+json" }),
    blame: "environment",
    held: [],
  },
  {
    name: "is not held when the registry cannot be asked",
    head: async () => {
      throw new RegistryUnavailableError("it is away");
    },
    blame: "environment",
    held: [],
  },
])("an image that nodes cannot pull $name", async ({ head, blame, held }) => {
  const here = world({
    behaviour: (digest) => (digest === digestOf("b") ? "gone" : "runs"),
    between: (registry) => ({
      ...registry,
      head: async (repository, reference) =>
        reference === digestOf("b") ? head(repository, reference) : registry.head(repository, reference),
    }),
  });
  here.push("b");
  await here.deliver(here.hear("event", "b"), here.instance());
  const rollouts = (await here.ledger.rollouts({ workload: "swarm/web" }, 10)).map(({ value }) => value);
  expect(rollouts.find(({ seq }) => seq === 1)).toMatchObject({ state: "rolled-back", blame });
  const stored = await here.ledger.get("workloads", "swarm/web");
  expect(stored?.value.holds.map(({ digest }) => digest)).toEqual(held);
  await here.close();
});
