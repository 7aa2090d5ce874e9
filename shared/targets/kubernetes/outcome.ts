import type { HttpAnswer } from "../../http.ts";
import type { WriteOutcome } from "../target.ts";
import { adviceOn, isObjectMissing, objectOf, reasonOf, wordsIn, wordsOf } from "./answers.ts";

/**
 * What the API's answer to a patch says; `not-done` for one that certainly changed nothing and may be another one
 * later.
 */
export function outcomeOf(answer: HttpAnswer): WriteOutcome | { readonly kind: "not-done" } {
  const words = wordsOf(answer);
  const refused: WriteOutcome = {
    kind: "refused",
    message: `the cluster refused the change: ${adviceOn(answer) ?? wordsIn(answer)}`,
  };
  const unknown: WriteOutcome = {
    kind: "unknown",
    message: `the API server answered ${answer.status}${words}`,
  };
  switch (answer.status) {
    case 200:
      if (objectOf(answer) !== undefined) return { kind: "accepted" };
      return {
        kind: "unknown",
        message: "the answer to the patch is none of the API's: is there something in front of it?",
      };
    case 409:
      return reasonOf(answer) === "Conflict" ? { kind: "conflict" } : refused;
    case 404:
      return isObjectMissing(answer) ? { kind: "gone" } : { kind: "not-done" };
    case 400:
    case 403:
    case 405:
    case 413:
    case 415:
    case 422:
      // Only the API's own words: a proxy's page says nothing about the next try.
      return words === "" ? { kind: "not-done" } : refused;
    case 429:
      return { kind: "not-done" };
    case 500:
      // Admission comes before the write.
      return /failed calling (?:admission )?webhook/.test(words) ? { kind: "not-done" } : unknown;
    default:
      return answer.status >= 300 && answer.status < 500 ? { kind: "not-done" } : unknown;
  }
}
