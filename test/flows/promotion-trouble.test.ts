import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RegistryUnavailableError } from "../../shared/errors.ts";
import { type ImageWorld, imageWorld, type RegistryCall, repository } from "./image-world.ts";
import { digestOf } from "./world.ts";

let here: ImageWorld;
beforeEach(async () => {
  here = imageWorld();
  await here.built("m1");
  await here.settle();
});
afterEach(async () => {
  await here.close();
});

const alerts = () => here.told.filter((each) => each.startsWith("alert"));
const puts = () => here.calls.filter(({ method }) => method === "put").length;

/** The registry does not take or answer calls of a kind, so many times. */
function failing(method: string, phase: "asked" | "answered", times: number, retryAfterMs?: number): void {
  let left = times;
  here.befall = (call, when) => {
    if (call.method !== method || when !== phase || (method === "head" && call.reference !== "prod")) return;
    if (left-- > 0) {
      throw new RegistryUnavailableError("away", retryAfterMs === undefined ? {} : { retryAfterMs });
    }
  };
}

describe("a registry that is away", () => {
  it.each<{ says: string; method: RegistryCall["method"]; minutes: number }>([
    { says: "at the look at the tag", method: "head", minutes: 1 },
    { says: "when the manifest is read", method: "get", minutes: 1 },
    { says: "at the write", method: "put", minutes: 2 },
  ])("$says: tried again until it is back, and no conflict", async ({ method, minutes }) => {
    failing(method, "asked", 3);
    await here.built("m2");
    expect(await here.channel()).toMatchObject({ trouble: { reason: "registry-unavailable", times: 1 } });
    await here.minutes(minutes);
    expect(await here.channel()).toMatchObject({
      promoted: { commit: here.id("m1") },
      trouble: { times: 2 },
    });
    expect(here.target.writes).toEqual([]);
    await here.settle();
    expect(here.runs()).toBe("m2, replaced 1 times");
    expect(await here.channel()).not.toHaveProperty("trouble");
    expect(alerts()).toEqual([]);
  });

  it("when it answers a write: nobody knows whether it was taken, until the tag is found where it was to be", async () => {
    failing("put", "answered", 3);
    here.calls.length = 0;
    await here.built("m2");
    expect(await here.channel()).toMatchObject({
      promoted: { commit: here.id("m1") },
      trouble: { times: 1 },
    });
    await here.settle();
    expect(puts()).toBe(1);
    expect(here.runs()).toBe("m2, replaced 1 times");
    expect(alerts()).toEqual([]);
  });

  it("is asked less and less often, each quarter of an hour in the end", async () => {
    failing("head", "asked", Infinity);
    await here.built("m2");
    await here.minutes(60);
    here.calls.length = 0;
    await here.minutes(60);
    expect(here.calls.length).toBeGreaterThanOrEqual(3);
    expect(here.calls.length).toBeLessThanOrEqual(4);
  });

  it.each(["head", "get", "put"])("and says for how long: is left alone until then (%s)", async (method) => {
    failing(method, "asked", 1, 3_600_000);
    await here.built("m2");
    here.calls.length = 0;
    await here.minutes(58);
    await here.built("m3");
    expect(here.calls).toEqual([{ method: "head", reference: here.id("m3") }]);
    await here.minutes(4);
    expect(here.runs()).toBe("m3, replaced 1 times");
  });

  it("at the look a lease later: looks again, and then finds what somebody did meanwhile", async () => {
    await here.built("m2");
    failing("head", "asked", 2, 600_000);
    await here.minutes(3);
    here.registry.push(repository, "prod", digestOf("foreign"));
    here.calls.length = 0;
    await here.minutes(8);
    expect(here.calls).toEqual([]);
    await here.minutes(20);
    expect((await here.channel())?.conflict).toMatchObject({ found: digestOf("foreign") });
    expect(alerts()).toHaveLength(1);
  });
});
