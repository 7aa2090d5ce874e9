import { describe, expect, it } from "vitest";
import { digestOf, world } from "./world.ts";

describe("a registry that is behind its own webhook", () => {
  it.each<{ name: string; named: string | undefined; sleeps: readonly string[] }>([
    { name: "after 1 s where the payload names the digest", named: "b", sleeps: ["sleep 1000"] },
    { name: "after 10 s where it names none", named: undefined, sleeps: ["sleep 10000"] },
  ])("is looked at again $name, and the push is rolled out", async ({ named, sleeps }) => {
    const slept: string[] = [];
    const here = world({
      turn: async (label) => {
        if (!label.startsWith("sleep")) return;
        slept.push(label);
        here.push("b");
      },
    });
    await here.deliver(here.hear("first", "a"), here.instance());
    slept.length = 0;
    here.push("a");
    await here.deliver(here.hear("second", named), here.instance());
    expect(slept.slice(0, 1)).toEqual(sleeps);
    expect(here.target.imageOf("web")).toContain(digestOf("b"));
    expect((await here.ledger.get("events", "second"))?.value).toMatchObject({ state: "done", looks: 1 });
    await here.close();
  });
});
