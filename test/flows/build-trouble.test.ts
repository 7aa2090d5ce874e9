import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RegistryDeniedError } from "../../shared/errors.ts";
import { type ImageWorld, imageWorld } from "./image-world.ts";

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

describe("a build whose git host is away", () => {
  it("for an hour: waits, nothing is guessed, and it goes out when the host is back", async () => {
    here.history.down = true;
    await here.built("m2");
    await here.minutes(60);
    expect(await here.buildEvent("m2")).toMatchObject({ state: "waiting", outcome: "history-unavailable" });
    expect([here.at("prod"), here.runs()]).toEqual(["m1", "m1, replaced 0 times"]);
    expect(alerts()).toEqual([]);
    here.history.down = false;
    await here.minutes(17);
    await here.settle();
    expect(await here.buildEvent("m2")).toMatchObject({ state: "done", outcome: "head" });
    expect([here.at("prod"), here.runs()]).toEqual(["m2", "m2, replaced 1 times"]);
  });

  it("for more than a day: is given up, and somebody is told, once", async () => {
    here.history.down = true;
    await here.built("m2");
    await here.minutes(25 * 60);
    expect(await here.buildEvent("m2")).toMatchObject({ state: "done", outcome: "history-unavailable" });
    expect(alerts()).toEqual([
      expect.stringMatching(/^alert: build .* history-unavailable: the git host is down$/),
    ]);
  });
});

it("tells somebody of a build whose registry refused it for more than a day", async () => {
  here.befall = () => {
    throw new RegistryDeniedError("it answers 403");
  };
  await here.built("m2");
  await here.minutes(25 * 60);
  expect(await here.buildEvent("m2")).toMatchObject({ state: "done", outcome: "registry-denied" });
  expect(alerts()).toEqual([expect.stringMatching(/^alert: build .* registry-denied: it answers 403$/)]);
});
