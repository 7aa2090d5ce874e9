import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Digest, Repository } from "../../shared/domain/reference.ts";
import { RegistryDeniedError, RegistryUnavailableError } from "../../shared/errors.ts";
import type { FlowDeps } from "../../shared/flows/deps.ts";
import { askAll } from "../../shared/flows/drift-ask.ts";
import { newKnown } from "../../shared/flows/drift-look.ts";
import type { Question } from "../../shared/flows/drift-questions.ts";
import { digestOf, world } from "./world.ts";

type Head = FlowDeps["registry"]["head"];

function question(host: string, n: number): Question {
  const tag = `t${String(n).padStart(4, "0")}`;
  const repository: Repository = `${host}/acme/web`;
  return { key: `${repository}:${tag}`, repository, about: { kind: "tag", tag } };
}

const questionsTo = (host: string, count: number) =>
  Array.from({ length: count }, (_, n) => question(host, n));

interface Registry {
  readonly head: Head;
  readonly limits?: FlowDeps["registry"]["limits"];
}

async function ask(registry: Registry, questions: readonly Question[], cursors = {}) {
  const here = world({ between: (inner) => ({ ...inner, ...registry }) });
  const deps = here.instance();
  const known = await newKnown(deps);
  const answers = await askAll(deps, questions, { known, cursors, onAnswer: async () => {} });
  await here.close();
  return answers;
}

const found = async () => ({ digest: digestOf("a"), mediaType: "any" });
const reasons = ({ wishes }: Awaited<ReturnType<typeof ask>>) =>
  Object.fromEntries(
    [...Map.groupBy(wishes.values(), (wish) => (wish.kind === "wanted" ? "wanted" : wish.reason))].map(
      ([name, each]) => [name, each.length],
    ),
  );

describe("questions to registries", () => {
  it("are put once each, at most sixteen at a time, the first one alone", async () => {
    let running = 0;
    const seen: number[] = [];
    const head: Head = async () => {
      seen.push(++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      return { digest: digestOf("a"), mediaType: "any" };
    };
    expect(reasons(await ask({ head }, questionsTo("a.example", 100)))).toEqual({ wanted: 100 });
    expect(seen).toHaveLength(100);
    expect(seen.slice(0, 2)).toEqual([1, 1]);
    expect(Math.max(...seen)).toBe(16);
  });

  it("of a registry that has had enough are put no more; the others go on", async () => {
    let asked = 0;
    const head: Head = async (repository) => {
      if (repository.startsWith("b.example")) return found();
      if (++asked > 20) throw new RegistryUnavailableError("429", { retryAfterMs: 3_600_000 });
      return found();
    };
    const answers = await ask({ head }, [...questionsTo("a.example", 100), ...questionsTo("b.example", 100)]);
    expect(reasons(answers)).toEqual({ wanted: 120, "rate-limited": 80 });
    expect(asked).toBeLessThan(20 + 17);
    expect(answers.cursors).toEqual({ "a.example": question("a.example", 19).key });
    expect(answers.troubles).toEqual([
      expect.stringMatching(
        /^a\.example wants to be asked no more until 2026-01-05T13:00:00\.000Z; .* \(and so 79 more\)$/,
      ),
    ]);
  });

  it("of a registry that gives no answer are given up soon, and name it", async () => {
    let asked = 0;
    const head: Head = async () => {
      asked++;
      throw new RegistryUnavailableError("a.example: no answer within 10000 ms");
    };
    const answers = await ask({ head }, questionsTo("a.example", 1_000));
    expect(reasons(answers)).toEqual({ "registry-unavailable": 1_000 });
    expect(asked).toBeLessThan(40);
    expect(answers.troubles[0]).toContain("no answer within 10000 ms");
  });

  it("that are refused one by one do not keep the others from being put", async () => {
    const head: Head = async (_, tag) => {
      if (tag < "t0050") throw new RegistryDeniedError("a.example answered 401");
      return tag < "t0060" ? undefined : found();
    };
    const answers = await ask({ head }, questionsTo("a.example", 100));
    expect(reasons(answers)).toEqual({ "registry-denied": 50, "not-in-registry": 10, wanted: 40 });
    expect(answers.cursors).toEqual({});
    expect(answers.troubles[0]).toBe("a.example answered 401 (and so 49 more)");
  });

  it("never exceed what a registry says is left, and all get their turn within as few runs as that takes", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 25 }),
        async (count, limit) => {
          const questions = questionsTo("a.example", count);
          const looked = new Set<string>();
          let cursors: Readonly<Record<string, string>> = {};
          for (let run = 0; run < Math.ceil(count / limit); run++) {
            let left = limit;
            let said: number | undefined;
            const head: Head = async (_, tag) => {
              if (left === 0) throw new Error("more was asked than was left");
              left--;
              await Promise.resolve();
              said = left;
              looked.add(tag);
              return { digest: digestOf("a"), mediaType: "any" };
            };
            const limits = () => (said === undefined ? undefined : { remaining: said, windowMs: 21_600_000 });
            const answers = await ask({ head, limits }, questions, cursors);
            expect(answers.wishes.size).toBe(count);
            cursors = answers.cursors;
          }
          expect(looked.size).toBe(count);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("end with the first error that is nobody's silence", async () => {
    const head: Head = async (_, tag) => {
      if (tag > "t0003") throw new TypeError("a mistake");
      return { digest: digestOf("a") as Digest, mediaType: "any" };
    };
    await expect(ask({ head }, questionsTo("a.example", 30))).rejects.toThrow("a mistake");
  });
});
