import type { HttpAnswer } from "../../http.ts";
import type { WriteOutcome } from "../target.ts";

/** What an answer to a redeploy means; `denied` and `unavailable` say that nothing was asked of Docker. */
export type RedeployOutcome =
  | WriteOutcome
  | { readonly kind: "denied"; readonly message: string }
  | { readonly kind: "unavailable"; readonly message: string };

type Said =
  /** `{"error": …}`: Swarmpit's own, or Docker's or a registry's passed on; a HEAD without a body becomes null. */
  | { readonly kind: "error"; readonly text: string | null }
  | { readonly kind: "nothing" }
  /** No words of Swarmpit's: a proxy's page, or an exception. */
  | { readonly kind: "other"; readonly text: string };

const maxTextLength = 300;

/** Swarmpit's 404 for a service that is gone has words; a registry's has none, a wrong path's has no body. */
export function isServiceMissing(answer: HttpAnswer): boolean {
  const said = saidBy(answer);
  return answer.status === 404 && said.kind === "error" && /service .* not found/i.test(said.text ?? "");
}

/** Why a read was refused for good, with what to mend; `undefined` for every other answer. */
export function readDenial(answer: HttpAnswer, fromSwarmpit: boolean): string | undefined {
  if (answer.status !== 401 && answer.status !== 403) return undefined;
  if (!fromSwarmpit) return refusedByProxy(answer);
  return answer.status === 401 ? tokenRefused(answer) : roleTooLow(answer);
}

/** The advice for an answer that only a wrong address explains; `undefined` for every other one. */
export function wrongAddress(answer: HttpAnswer): string | undefined {
  const misses = (answer.status === 404 || answer.status === 405) && saidBy(answer).kind !== "error";
  if (misses) {
    return `there is no Swarmpit API: ${answer.status} without its words: check that \`url\` is its address and /api`;
  }
  const moved = answer.status >= 300 && answer.status < 400;
  return moved
    ? `it redirects elsewhere (${answer.status}): check \`url\`, https or http included`
    : undefined;
}

/** Swarmpit passes registries' and Docker's refusals on with their own status: only its mark and words tell them apart. */
export function redeployOutcome(answer: HttpAnswer, fromSwarmpit: boolean): RedeployOutcome {
  const said = saidBy(answer);
  const words = said.kind === "nothing" || said.text === null ? "" : `: ${said.text}`;
  const { status } = answer;
  const address = wrongAddress(answer);
  if (address !== undefined) return { kind: "unavailable", message: address };
  switch (status) {
    case 202:
      return { kind: "accepted" };
    case 400:
    case 501:
      if (said.kind !== "error") break;
      return { kind: "refused", message: `Docker refused the update${words}` };
    case 401:
    case 403:
      if (fromSwarmpit) {
        return { kind: "denied", message: status === 401 ? tokenRefused(answer) : roleTooLow(answer) };
      }
      if (said.kind !== "error") return { kind: "denied", message: refusedByProxy(answer) };
      return {
        kind: "refused",
        message: `the registry refused Swarmpit${words}: link the registry's account in Swarmpit, owned by the token's user or public`,
      };
    case 404:
      if (isServiceMissing(answer)) return { kind: "gone" };
      return {
        kind: "refused",
        message: `Swarmpit finds no Docker-type manifest for the tag${words}: it cannot read OCI images; use \`kind: swarm\` for this target, or push Docker-type manifests`,
      };
    case 409:
      return { kind: "conflict" };
    case 429:
      return { kind: "unavailable", message: `the registry asked Swarmpit to wait (429)${words}` };
    case 500:
      // Docker has no status of its own for a lost race, so neither has Swarmpit.
      if (/update out of sequence/i.test(words)) return { kind: "conflict" };
      break;
  }
  return { kind: "unknown", message: `Swarmpit answered ${status}${words}` };
}

function tokenRefused(answer: HttpAnswer): string {
  return `Swarmpit refused the token${wordsOf(answer)}: set \`token\` to a current API token; making a new one ends the old`;
}

function roleTooLow(answer: HttpAnswer): string {
  return `the role of the token's user is too low${wordsOf(answer)}: give it the role \`user\` or \`admin\` in Swarmpit`;
}

function refusedByProxy(answer: HttpAnswer): string {
  return `something in front of Swarmpit refused the call (${answer.status})${wordsOf(answer)}: check \`headers\` and \`url\``;
}

function wordsOf(answer: HttpAnswer): string {
  const said = saidBy(answer);
  return said.kind === "error" && said.text !== null ? `: ${said.text}` : "";
}

function saidBy(answer: HttpAnswer): Said {
  const text = answer.body.toString("utf8", 0, 64 * 1024).trim();
  if (text === "") return { kind: "nothing" };
  const parsed = parse(text);
  if (typeof parsed === "object" && parsed !== null) {
    if ("error" in parsed && (parsed.error === null || typeof parsed.error === "string")) {
      return { kind: "error", text: parsed.error === null ? null : short(parsed.error) };
    }
    // An exception that Swarmpit did not expect: {"via": […], "trace": […], "cause": "…"}.
    if ("cause" in parsed && typeof parsed.cause === "string") {
      return { kind: "other", text: short(parsed.cause) };
    }
  }
  return { kind: "other", text: "no words of Swarmpit's" };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function short(text: string): string {
  const line = text.replace(/\s+/g, " ");
  return line.length > maxTextLength ? `${line.slice(0, maxTextLength)}…` : line;
}
