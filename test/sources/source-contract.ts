import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Classification, ImagePush } from "../../shared/domain/push.ts";
import type { JsonObject, Source } from "../../shared/sources/source.ts";
import { sampleBody, samplesOf } from "./samples.ts";

const right = "0123456789abcdef-right";
const wrong = "0123456789abcdef-wrong";

/** What every source keeps, with its recorded samples as the deliveries to start from. */
export function sourceContract(source: Source): void {
  describe(`${source.name}, as every source`, () => {
    const samples = samplesOf(source.name);
    const bytes = Buffer.from("{}");

    it("has at least one recorded sample that is accepted", () => {
      expect(samples.map((sample) => sample.expect.outcome)).toContain("accept");
    });

    it.each(samples)("reads $file as recorded", (sample) => {
      expect(comparable(source.classify(sample.headers, parse(sampleBody(sample))))).toEqual(
        comparable(sample.expect as Classification),
      );
    });

    it.each(samples)("reads $file the same with unknown fields everywhere", (sample) => {
      const body = parse(sampleBody(sample));
      expect(source.classify(sample.headers, crowded(body) as JsonObject)).toEqual(
        source.classify(sample.headers, body),
      );
    });

    it.each(samples)("gives images of $file their own name as source and a form the bus takes", (sample) => {
      const verdict = source.classify(sample.headers, parse(sampleBody(sample)));
      for (const image of verdict.outcome === "accept" ? verdict.images : []) {
        expect(image.source).toBe(source.name);
        expect(ImagePush.parse(JSON.parse(JSON.stringify(image)))).toEqual(image);
      }
    });

    it("gives a verdict on any object, and leaves it as it was", () => {
      fc.assert(
        fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (body) => {
          const before = structuredClone(body);
          expect(["accept", "ignore", "reject"]).toContain(source.classify({}, body).outcome);
          expect(body).toEqual(before);
        }),
      );
    });

    it("gives a verdict on a sample with any one value replaced", () => {
      const sample = samples[0];
      if (sample === undefined) throw new Error("no sample");
      const paths = pathsOf(parse(sampleBody(sample)));
      fc.assert(
        fc.property(fc.constantFrom(...paths), fc.jsonValue(), (path, value) => {
          const body = parse(sampleBody(sample));
          put(body, path, value);
          const verdict = source.classify(sample.headers, body);
          const images = verdict.outcome === "accept" ? verdict.images : [];
          expect(images.map((image) => ImagePush.safeParse(image).success)).not.toContain(false);
        }),
      );
    });

    it("does not take headers without proof, or with another secret's, for proof", () => {
      const offered = [undefined, "", wrong, `Bearer ${wrong}`, "Bearer ", "Bearer", `Basic ${right}`];
      for (const authorization of offered) {
        expect(source.authenticate({ headers: { authorization }, bytes }, right)).toBe(false);
      }
    });

    it("takes the secret as a bearer token exactly if it signs", () => {
      const headers = { authorization: `Bearer ${right}` };
      expect(source.authenticate({ headers, bytes }, right)).toBe(source.signs);
    });
  });
}

function parse(text: string): Record<string, unknown> {
  return JSON.parse(text) as Record<string, unknown>;
}

/** Only what samples speak of; times as instants. */
function comparable(verdict: Classification): unknown {
  if (verdict.outcome !== "accept") return verdict;
  return verdict.images.map(({ source: _source, deliveryId: _deliveryId, pushedAt, ...image }) => ({
    ...image,
    ...(pushedAt === undefined ? {} : { pushedAt: Date.parse(pushedAt) }),
  }));
}

function crowded(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(crowded);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => [key, crowded(inner)]);
  return { ...Object.fromEntries(entries), "x-new": { deep: [1, null] }, another: null };
}

function pathsOf(value: unknown, path: readonly string[] = []): readonly (readonly string[])[] {
  if (typeof value !== "object" || value === null) return [path];
  const inner = Object.entries(value).flatMap(([key, each]) => pathsOf(each, [...path, key]));
  return path.length === 0 ? inner : [path, ...inner];
}

function put(target: object, [key = "", ...rest]: readonly string[], value: unknown): void {
  const fields = target as Record<string, unknown>;
  if (rest.length === 0) fields[key] = value;
  else put(fields[key] as object, rest, value);
}
