import { readFileSync } from "node:fs";
import type { SourceName } from "../../shared/sources/source.ts";

const folder = new URL("../fixtures/sources/", import.meta.url);

/** A recorded delivery and what it must lead to. */
export interface Sample {
  readonly file: string;
  readonly source: SourceName;
  readonly headers: Readonly<Record<string, string>>;
  readonly expect:
    | { readonly outcome: "accept"; readonly images: readonly Readonly<Record<string, string>>[] }
    | { readonly outcome: "ignore"; readonly reason: string };
}

export function samplesOf(source: SourceName): readonly Sample[] {
  const { samples } = JSON.parse(readFileSync(new URL("index.json", folder), "utf8")) as {
    samples: readonly Sample[];
  };
  return samples.filter((sample) => sample.source === source);
}

export function sampleBody(sample: Sample): string {
  return readFileSync(new URL(sample.file, folder), "utf8");
}
