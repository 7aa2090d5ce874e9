import { describe, expect, it } from "vitest";
import { SwarmpitService } from "../../shared/targets/swarmpit/schema.ts";
import { stampOf } from "../../shared/targets/swarmpit/stamp.ts";

const row = {
  id: "penpnhep0bsciofxzd542v62n",
  version: 3240,
  updatedAt: "2026-05-14T09:12:01.9Z",
  repository: { name: "acme/web", tag: "INT", image: "acme/web:INT", imageDigest: null },
  serviceName: "shop_web",
  replicas: 2,
  state: "running",
  status: { tasks: { running: 2, total: 2 }, update: "completed", message: "update completed" },
  variables: [{ name: "PASSWORD", value: "hidden" }],
  labels: [
    { name: "team", value: "forms" },
    { name: "tier", value: "1" },
  ],
  command: ["serve", "--port", "80"],
  deployment: { forceUpdate: 7, rollbackAllowed: true, autoredeploy: false },
};

function stamp(change: object = {}, key = "token") {
  const changed = { ...row, ...change };
  return stampOf(SwarmpitService.parse(changed), changed, key);
}
const redeployed = { deployment: { ...row.deployment, forceUpdate: 8 } };

describe("the stamp of a Swarmpit service", () => {
  it("is the next one after one redeploy, and neither before it nor after two", () => {
    expect(stamp(redeployed)?.now).toBe(stamp()?.next);
    expect(stamp()?.now).not.toBe(stamp()?.next);
    const twice = { deployment: { ...row.deployment, forceUpdate: 9 } };
    expect(stamp(twice)?.now).not.toBe(stamp()?.next);
  });

  it.each([
    { name: "its version", change: { version: 1 } },
    { name: "when it was changed", change: { updatedAt: "2026-06-01T00:00:00Z" } },
    { name: "its image, which is judged by itself", change: { repository: null } },
    { name: "how its tasks do", change: { state: "partly running" } },
    { name: "the words of its update", change: { status: { update: "paused", message: "no" } } },
    { name: "the order in which its labels are listed", change: { labels: row.labels.toReversed() } },
    { name: "the order of the keys", change: Object.fromEntries(Object.entries(row).toReversed()) },
  ])("does not depend on $name", ({ change }) => {
    expect(stamp({ ...redeployed, ...change, ...redeployed })?.now).toBe(stamp()?.next);
  });

  it.each([
    { name: "a label", change: { labels: [] } },
    { name: "the number of its tasks", change: { replicas: 3 } },
    { name: "its environment", change: { variables: [{ name: "PASSWORD", value: "other" }] } },
    { name: "the order of its arguments", change: { command: ["--port", "serve", "80"] } },
    { name: "a field that nobody knows", change: { novelty: 1 } },
    { name: "something that Swarmpit does not show", change: { status: { update: null, message: null } } },
    { name: "how it is deployed", change: { deployment: { ...redeployed.deployment, autoredeploy: true } } },
    {
      name: "all of it, anew: there is nothing to go back to",
      change: { deployment: { ...redeployed.deployment, rollbackAllowed: false } },
    },
  ])("tells that somebody has changed $name", ({ change }) => {
    expect(stamp({ ...redeployed, ...change })?.now).not.toBe(stamp()?.next);
  });

  it("gives away nothing of the environment, and cannot be compared without the key", () => {
    expect(JSON.stringify(stamp())).not.toContain("hidden");
    expect(stamp({}, "another token")?.now).not.toBe(stamp()?.now);
  });

  it("is not there where Swarmpit does not say how often the service was redeployed", () => {
    expect(stamp({ deployment: null })).toBeUndefined();
    expect(stamp({ deployment: { rollbackAllowed: true } })).toBeUndefined();
  });
});
