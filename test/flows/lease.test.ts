import { expect, it } from "vitest";
import { digestOf, world } from "./world.ts";

it("gives the lease of a replaced rollout free, though its successor is replaced at that moment", async () => {
  const [written, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let stop = true;
  let meanwhile: (() => Promise<void>) | undefined;
  const here = world({
    turn: async (label) => {
      if (label !== "update answered" || !stop) return;
      stop = false;
      written.resolve();
      await goOn.promise;
    },
    ledger: (inner) => ({
      ...inner,
      commit: async (writer, writes) => {
        const [first] = writes;
        const open = first?.collection === "workloads" ? first.value.open : undefined;
        if (open?.seq === 2 && open.lease === undefined) {
          const then = meanwhile;
          meanwhile = undefined;
          await then?.();
        }
        return inner.commit(writer, writes);
      },
    }),
  });
  const pushed = (letter: string) => {
    here.push(letter);
    return here.deliver(here.hear(letter, letter), here.instance());
  };
  const first = pushed("b");
  await written.promise;
  await pushed("c");
  meanwhile = () => pushed("d");
  goOn.resolve();
  await first;

  expect((await here.ledger.get("workloads", "swarm/web"))?.value.open).toMatchObject({
    seq: 3,
    state: "planned",
  });
  for (const message of here.undelivered.splice(0)) await here.deliver(message, here.instance());
  expect(here.target.imageOf("web")).toContain(digestOf("d"));
  expect((await here.ledger.get("workloads", "swarm/web"))?.value.open).toBeUndefined();
  await here.close();
});
