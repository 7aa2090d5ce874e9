import { expect, it } from "vitest";
import type { Message } from "../../shared/bus/bus.ts";
import { digestOf, world } from "./world.ts";

it("deploys a build of an image without git like a push of its tag", async () => {
  const here = world();
  here.push("b");
  const build: Message = { kind: "build", image: "docker.io/acme/web", tag: "v1", digest: digestOf("b") };
  await here.deliver(build, here.instance());
  await here.settle();
  expect(here.target.imageOf("web")).toContain(digestOf("b"));
  const [event] = await here.ledger.events({ nowMs: here.clock.now() }, 10);
  expect(event?.value).toMatchObject({ outcome: "observed", push: { source: "native", tag: "v1" } });
  await here.close();
});
