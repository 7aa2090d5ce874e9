import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { explainOutcome, outcomes } from "../../shared/domain/outcomes.ts";

const read = (file: string) => readFileSync(`${import.meta.dirname}/../../shared/${file}.ts`, "utf8");
const namesIn = (text: string, form: RegExp) => [...text.matchAll(form)].map(([, name = ""]) => name);

describe("an outcome", () => {
  it("is explained wherever one is recorded", () => {
    const flows = ["build", "channel-push", "promote-order", "push", "take"].map((name) =>
      read(`flows/${name}`),
    );
    const recorded = [
      ...namesIn(flows.join("\n"), /\b(?:outcome: |done\()"([a-z-]+)"/g),
      // What is decided of a build is its outcome, but for what is only to be looked at again.
      ...namesIn(read("decide/order"), /readonly kind: "([a-z-]+)"/g).filter((name) => name !== "not-yet"),
      ...namesIn(read("flows/promote-order"), /readonly kind: "([a-z-]+)"/g),
      ...namesIn(read("flows/observe"), /return "(registry-[a-z]+)"/g),
    ];
    expect(new Set(recorded).size).toBeGreaterThan(18);
    expect(recorded.filter((name) => !Object.hasOwn(outcomes, name))).toEqual([]);
  });

  it("of another version is shown as it is", () => {
    expect(explainOutcome("constructor")).toEqual({ sentence: "Outcome `constructor`.", next: "" });
  });
});
