import { expect, it } from "vitest";
import { onlyOf } from "../functions/local/only.ts";
import { type Environment, environment } from "../shared/config/load.ts";
import { ConfigError } from "../shared/errors.ts";

const configured = { LANDFALL_CONFIG: "landfall.yaml" };

it.each<{ args: string[]; env: Environment; only: string[] }>([
  { args: [], env: {}, only: ["webhook", "builds", "reconcile"] },
  { args: [], env: { LANDFALL_LEDGER: "memory:" }, only: ["webhook", "builds", "reconcile"] },
  { args: ["--only", "reconcile,builds"], env: configured, only: ["builds", "reconcile"] },
  { args: ["--only=webhook"], env: { ...configured, LANDFALL_BUS: "pubsub:landfall" }, only: ["webhook"] },
  {
    args: ["--only", "builds,reconcile"],
    env: { ...configured, LANDFALL_BUS: "pubsub-pull:builds", LANDFALL_LEDGER: "memory:" },
    only: ["builds", "reconcile"],
  },
  {
    args: ["--only", "webhook,reconcile,builds"],
    env: { LANDFALL_BUS: "pubsub:landfall" },
    only: ["webhook", "builds", "reconcile"],
  },
])("runs $only for $args", ({ args, env, only }) => {
  expect(onlyOf(args, environment(env))).toEqual(only);
});

it.each<{ name: string; args: string[]; env: Environment; says: RegExp }>([
  {
    name: "an unknown function",
    args: ["--only", "webhook,cron"],
    env: configured,
    says: /^--only: write some/,
  },
  {
    name: "a function twice",
    args: ["--only", "builds,builds"],
    env: configured,
    says: /^--only: write some/,
  },
  { name: "no function", args: ["--only", ""], env: configured, says: /^--only: write some/ },
  { name: "an unknown option", args: ["--port", "80"], env: configured, says: /--port/ },
  { name: "a part of the sandbox", args: ["--only", "webhook"], env: {}, says: /^LANDFALL_CONFIG: / },
  {
    name: "a part with all its memory to itself",
    args: ["--only", "webhook"],
    env: { ...configured, LANDFALL_LEDGER: "memory:" },
    says: /^LANDFALL_LEDGER: `memory:`/,
  },
  {
    name: "builds that nobody could bring messages to",
    args: ["--only", "builds,reconcile"],
    env: { ...configured, LANDFALL_BUS: "pubsub:landfall" },
    says: /^LANDFALL_BUS: .*`pubsub-pull:SUBSCRIPTION`/,
  },
])("refuses $name", ({ args, env, says }) => {
  const settings = environment(env);
  let problems: readonly string[] = [];
  try {
    onlyOf(args, settings);
  } catch (error) {
    if (error instanceof ConfigError) problems = error.problems;
  }
  expect(problems).toEqual([expect.stringMatching(says)]);
});
