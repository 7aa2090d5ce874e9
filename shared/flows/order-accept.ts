import type { OrderMessage } from "../bus/bus.ts";
import { builtOf } from "../decide/promotion.ts";
import type { Order } from "../domain/order.ts";
import type { Repository } from "../domain/reference.ts";
import { messageOf } from "../errors.ts";
import type { Head } from "../ledger/image-document.ts";
import type { EventDocument, Write } from "../ledger/ledger.ts";
import type { FlowDeps } from "./deps.ts";
import { imageWrite, loadImage } from "./image.ts";
import { registryReason } from "./observe.ts";
import type { Ordered } from "./orders.ts";

/** Events of an image that are looked through for builds that were held back, and how many of those are judged anew. */
const maxEvents = 500;
const maxHeldBack = 100;

/**
 * A person says what nobody else can, after history was rewritten for example: this build is the head now. Channels and
 * workloads go there, and the builds that were held back are judged against it.
 */
export async function acceptBuild(
  deps: FlowDeps,
  message: OrderMessage,
  { image: repository, tag }: Order & { readonly do: "accept" },
): Promise<Ordered> {
  if (!deps.follows(repository))
    return { kind: "refused", detail: `${repository} is not matched by \`follow\`` };
  if (deps.rule(repository).git === undefined)
    return { kind: "refused", detail: `${repository} has no \`git\` in the configuration, and so no head` };
  const before = await loadImage(deps, repository);
  const { builds, head: old } = before.value;
  const built = builds.find((each) => each.tag === tag || each.commit === tag);
  const commit = built?.commit;
  if (built === undefined || commit === undefined) {
    const where = `\`landfall list ${repository}\` shows those that are`;
    return { kind: "refused", detail: `no build ${tag} of ${repository} is on record: ${where}` };
  }
  const { digest } = built;
  const name = `${repository}:${built.tag}`;
  if (old?.commit === commit && old.digest === digest) {
    return { kind: "already", detail: `${name} is the head already` };
  }
  try {
    const found = await deps.recorder.step("registry.head", () => deps.registry.head(repository, digest));
    if (found === undefined) return { kind: "refused", detail: `${name} is not in the registry any more` };
  } catch (error) {
    if (registryReason(error) === undefined) throw error;
    return { kind: "unavailable", detail: messageOf(error) };
  }
  const nowMs = await deps.ledger.clock();
  const { event, heardMs, by } = message;
  const generation = (old?.generation ?? 0) + 1;
  const head: Head = { ...builtOf(built), commit, event, heardMs, by, generation, acceptedMs: nowMs };
  const again = await heldBack(deps, repository, nowMs);
  const since = old === undefined ? "" : ` in place of ${old.commit.slice(0, 12)}`;
  const judged = again.length === 0 ? "" : `; builds held back are judged anew: ${again.length}`;
  return {
    kind: "ordered",
    detail: `${name} is the head${since}${judged}`,
    writes: [await imageWrite(deps, before, { ...before.value, head }), ...again],
    images: [repository],
  };
}

/** Lets the builds that nobody could place be looked at again by the sweep, each under its own event. */
async function heldBack(deps: FlowDeps, repository: Repository, nowMs: number): Promise<readonly Write[]> {
  const events = await deps.ledger.events({ repository, nowMs }, maxEvents);
  return events
    .filter(
      ({ value }) => value.state === "done" && value.outcome === "held-back" && value.build !== undefined,
    )
    .slice(0, maxHeldBack)
    .map(({ id, rev: expect, value: { tries: _, ...rest } }) => {
      const value: EventDocument = { ...rest, state: "waiting", dueMs: nowMs };
      return { collection: "events", id, expect, value } as const;
    });
}
