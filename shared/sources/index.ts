import { distribution } from "./distribution.ts";
import { dockerhub } from "./dockerhub.ts";
import { native } from "./native.ts";
import type { Source, SourceName } from "./source.ts";

/** The sources of this version, by their name in routes and configuration. */
export const sources = { dockerhub, distribution, native } as const satisfies Partial<
  Record<SourceName, Source>
>;

export type ImplementedSource = keyof typeof sources;
