import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Matrix, matrix } from "./world.ts";

let world: Matrix;
beforeEach(async () => {
  world = await matrix();
});
afterEach(() => world.close());

const base64 = (text: string | Uint8Array) => Buffer.from(text).toString("base64");
const push = {
  kind: "push",
  event: "one",
  heardMs: 0,
  push: { source: "native", registry: "docker.io", repository: "acme/web", tag: "v1" },
};

describe("a message that can never be used", () => {
  it.each<{ name: string; data: string; reason: RegExp }>([
    { name: "no data at all", data: "", reason: /no base64 of JSON/ },
    { name: "no base64", data: "%%%", reason: /no base64 of JSON/ },
    { name: "no JSON", data: base64("{"), reason: /no base64 of JSON/ },
    { name: "no UTF-8", data: base64(new Uint8Array([0x22, 0xff, 0xfe, 0x22])), reason: /no base64 of JSON/ },
    { name: "JSON too deep to be read", data: base64("[".repeat(100_000)), reason: /no base64 of JSON/ },
    {
      name: "10,000 lists in each other",
      data: base64("[".repeat(10_000) + "]".repeat(10_000)),
      reason: /message: /,
    },
    { name: "no object", data: base64("7"), reason: /message: / },
    { name: "no kind", data: base64("{}"), reason: /kind: / },
    { name: "an unknown kind", data: base64('{"kind":"reboot"}'), reason: /kind: / },
    { name: "no push", data: base64(JSON.stringify({ ...push, push: undefined })), reason: /push: / },
    {
      name: "a tag that is none",
      data: base64(JSON.stringify({ ...push, push: { ...push.push, tag: "no tag" } })),
      reason: /push\.tag: expected a tag/,
    },
    {
      name: "a time that is none",
      data: base64(JSON.stringify({ ...push, heardMs: "now" })),
      reason: /heardMs: /,
    },
    {
      name: "a workload that is none",
      data: base64('{"kind":"continue","workload":"web","seq":1}'),
      reason: /workload: expected target\/name/,
    },
  ])("is recorded, set aside with the reason and acknowledged: $name", async ({ data, reason }) => {
    expect(await world.deliver("m1", data)).toBe("ack");
    expect(await world.event("undecodable-m1")).toMatchObject({
      state: "done",
      outcome: "undecodable",
      detail: expect.stringMatching(reason),
      verdicts: [],
    });
    expect(await world.deadLetters()).toMatchObject([{ reason: expect.stringMatching(reason) }]);
    expect(world.told).toMatchObject([{ severity: "alert", message: expect.stringMatching(reason) }]);
    const text = await world.explain("undecodable-m1");
    expect(text).toMatch(reason);
    expect(text).toContain("undecodable: The message could not be read and was set aside.");
    expect(world.toRegistry.passed).toEqual([]);

    const first = world.push();
    await world.place().create("web", world.image(first));
    const second = world.push();
    await world.hear("next");
    expect(await world.place().writes()).toEqual([world.image(second)]);
  });

  it("is set aside as it came, and on record once, however often it is delivered", async () => {
    const text = '{"kind":"reboot"}';
    await world.deliver("m1", base64(text));
    await world.deliver("m1", base64(text));
    const events = await world.ledger.events({ nowMs: world.clock.now() }, 10);
    expect(events.map(({ id }) => id)).toEqual(["undecodable-m1"]);
    expect((await world.deadLetters()).map((letter) => letter.data)).toContain(text);
  });
});
