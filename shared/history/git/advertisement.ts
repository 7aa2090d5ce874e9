import { type Commit, isCommit } from "../../domain/commit.ts";
import type { ObjectFormat } from "./pack.ts";
import { lineOf, packetReader } from "./pkt-line.ts";

/** What a repository's server can do, of what is used here. */
export interface Capabilities {
  readonly objectFormat: ObjectFormat;
  /** Whether it leaves trees and files out when it is asked to. */
  readonly filter: boolean;
}

/**
 * Reads what a server answers to the first question (https://git-scm.com/docs/gitprotocol-v2#_capability_advertisement).
 * `other-version`: a git server that does not speak version 2. `undefined`: no git server's answer.
 */
export function readAdvertisement(body: Buffer): Capabilities | "other-version" | undefined {
  const lines = linesOf(body);
  // Some servers name the service first, as the versions before did.
  const from = lines?.[0]?.startsWith("# service=") ? 1 : 0;
  const [version, ...features] = lines?.slice(from) ?? [];
  if (version === undefined) return undefined;
  if (version !== "version 2") return from === 1 || version === "version 1" ? "other-version" : undefined;
  const featureOf = (key: string) =>
    features.find((line) => line === key || line.startsWith(`${key}=`))?.slice(key.length + 1);
  const fetch = featureOf("fetch");
  const objectFormat = featureOf("object-format") ?? "sha1";
  if (fetch === undefined || (objectFormat !== "sha1" && objectFormat !== "sha256")) return "other-version";
  return { objectFormat, filter: fetch.split(" ").includes("filter") };
}

/** The commit that a branch is at, in an answer to `ls-refs`; `undefined`: no such branch; `broken`: no such answer. */
export function readTip(body: Buffer, branch: string): Commit | "broken" | undefined {
  const lines = linesOf(body);
  if (lines === undefined) return "broken";
  for (const line of lines) {
    const [id, ref] = line.split(" ");
    if (ref === `refs/heads/${branch}`) return isCommit(id) ? id : "broken";
  }
  return undefined;
}

/** The lines of a whole answer; `undefined` when it is none, or half of one. */
function linesOf(body: Buffer): readonly string[] | undefined {
  const reader = packetReader();
  try {
    const packets = reader.push(body);
    if (!reader.isBetween() || packets.at(-1)?.kind !== "flush") return undefined;
    return packets.flatMap((packet) => (packet.kind === "data" ? [lineOf(packet.data)] : []));
  } catch {
    return undefined;
  }
}
