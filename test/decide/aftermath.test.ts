import { expect, it } from "vitest";
import { decideAftermath, type FailureFacts } from "../../shared/decide/aftermath.ts";
import type { Digest } from "../../shared/domain/reference.ts";

const digest = (letter: string): Digest => `sha256:${letter.repeat(64)}`;
const bad = { repository: "docker.io/acme/web", tag: "v1", digest: digest("b"), generation: 2 } as const;
const facts: FailureFacts = {
  to: { web: bad },
  blame: "image",
  isRollback: false,
  stands: false,
  restored: true,
  short: false,
  guilty: [],
  retries: 0,
  goods: [{ web: `acme/web:v1@${digest("a")}` }],
  rules: { rollback: true },
};

it.each<{ name: string; facts: Partial<FailureFacts>; expected: object }>([
  { name: "is done when what ran before runs again", facts: {}, expected: { kind: "restored" } },
  {
    name: "is nothing to rely on when not all of what ran before runs again",
    facts: { short: true },
    expected: { kind: "unavailable", held: [digest("b")] },
  },
  {
    name: "is tried again where the environment was to blame, whatever runs",
    facts: { short: true, blame: "environment" },
    expected: { kind: "restored", held: [], thenRetryMs: 60_000 },
  },
])("a rollback that the target made by itself $name", ({ facts: more, expected }) => {
  expect(decideAftermath({ ...facts, ...more })).toMatchObject(expected);
});
