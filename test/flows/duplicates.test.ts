import { expect, it } from "vitest";
import { digestOf, type Turn, type World, world } from "./world.ts";

/** A world whose deliveries stop at a step until they are let go. */
function stepwise() {
  let stops: { readonly label: string; readonly reached: () => void; readonly go: Promise<void> }[] = [];
  const turn: Turn = async (label) => {
    const stop = stops.find((each) => each.label === label);
    if (stop === undefined) return;
    stops = stops.filter((each) => each !== stop);
    stop.reached();
    await stop.go;
  };
  const here = world({ turn });
  /** The next one that comes to this step waits there. */
  const stopAt = (label: string) => {
    const [reached, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    stops.push({ label, reached: reached.resolve, go: go.promise });
    return { reached: reached.promise, go: go.resolve };
  };
  return { here, stopAt };
}

async function expectToldAndDone(here: World): Promise<void> {
  expect((await here.ledger.get("events", "pushed"))?.value).toMatchObject({
    state: "done",
    outcome: "observed",
    verdicts: [{ workload: "swarm/web", kind: expect.stringMatching(/planned|joined/), seq: 1 }],
  });
  expect(here.target.writes).toHaveLength(1);
  expect(here.target.imageOf("web")).toContain(digestOf("b"));
  expect(await here.ledger.due(Number.MAX_SAFE_INTEGER, 10)).toEqual([]);
  await here.close();
}

it("a message delivered twice at once is told by the delivery that looked, not by the one that joined it", async () => {
  const { here, stopAt } = stepwise();
  here.push("b");
  const message = here.hear("pushed", "b");
  const asking = stopAt("HEAD asked");
  const looks = here.deliver(message, here.instance());
  await asking.reached;
  await here.deliver(message, here.instance(), true);
  expect((await here.ledger.get("events", "pushed"))?.value).toMatchObject({ outcome: "joined" });
  asking.go();
  await looks;
  await expectToldAndDone(here);
});

it("a look that others relied on is over when it is done, though another delivery of its message was faster", async () => {
  const { here, stopAt } = stepwise();
  here.push("b");
  const message = here.hear("pushed", "b");
  const [asking, listing, late] = [stopAt("HEAD asked"), stopAt("list asked"), stopAt("list asked")];
  const faster = here.deliver(message, here.instance());
  await asking.reached;
  await here.deliver(here.hear("other", "b"), here.instance());
  asking.go();
  await listing.reached;
  const slower = here.deliver(message, here.instance(), true);
  await late.reached;
  listing.go();
  await faster;
  late.go();
  await slower;
  await expectToldAndDone(here);
});
