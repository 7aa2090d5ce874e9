import fc from "fast-check";
import type { Graph } from "../contracts/history-graphs.ts";

/** Any graph whose commits' parents come before them, with dates in no order, all of it on one branch or several. */
export const anyGraph: fc.Arbitrary<Graph> = fc
  .array(fc.record({ parents: fc.array(fc.nat(), { maxLength: 3 }), atS: fc.integer({ min: 1, max: 9 }) }), {
    minLength: 1,
    maxLength: 10,
  })
  .map((drawn) => {
    const commits = drawn.map(({ parents, atS }, index) => ({
      name: `c${index}`,
      parents: index === 0 ? [] : [...new Set(parents.map((parent) => `c${parent % index}`))],
      atS,
    }));
    const heads = commits.filter(({ name }) => !commits.some(({ parents }) => parents.includes(name)));
    const branches = heads.map(({ name }, index) => [index === 0 ? "main" : `side-${index}`, name] as const);
    return { name: "any", commits, branches: Object.fromEntries(branches) };
  });
