import type { Built, ImageDocument } from "../../shared/ledger/image-document.ts";
import type { Ledger } from "../../shared/ledger/ledger.ts";
import type { WorkloadDocument } from "../../shared/ledger/workload-document.ts";

/** A build of an image, with what came of its event. */
export interface BuildView extends Built {
  /** Absent once the event is too old to be kept. */
  readonly heardMs?: number;
  readonly outcome?: string;
  /** The image's head. */
  readonly isHead: boolean;
  /** Channels that have it. */
  readonly channels: readonly string[];
  /** For whom it is held: workloads, or `everywhere`. */
  readonly held: readonly string[];
}

/** The builds of an image, heard last first, and what its channels have beside. */
export async function readBuilds(
  ledger: Pick<Ledger, "get">,
  { head, channels, builds, holds = [] }: ImageDocument,
  workloads: readonly WorkloadDocument[],
  limit: number,
): Promise<readonly BuildView[]> {
  const promoted = Object.values(channels).flatMap((channel) => channel.promoted ?? []);
  const others = [...promoted, ...(head === undefined ? [] : [head])].filter(
    (each, index, all) =>
      !builds.some((built) => isSame(built, each)) && all.findIndex((other) => isSame(other, each)) === index,
  );
  const shown = [...builds, ...others].slice(0, limit);
  return Promise.all(
    shown.map(async ({ commit, tag, digest, event, by }): Promise<BuildView> => {
      const built = { ...(commit === undefined ? {} : { commit }), tag, digest, event };
      const stored = await ledger.get("events", event);
      const outcome = stored?.value.outcome;
      return {
        ...built,
        ...(by === undefined ? {} : { by }),
        ...(stored === undefined ? {} : { heardMs: stored.value.heardMs }),
        ...(outcome === undefined ? {} : { outcome }),
        held: [
          ...(holds.some((each) => each.digest === digest) ? ["everywhere"] : []),
          ...workloads.filter((each) => isHeld(each, digest)).map(({ workload }) => workload),
        ],
        isHead: head !== undefined && isSame(head, built),
        channels: Object.entries(channels).flatMap(([name, channel]) =>
          channel.promoted !== undefined && isSame(channel.promoted, built) ? [name] : [],
        ),
      };
    }),
  );
}

function isHeld({ holds }: WorkloadDocument, digest: string): boolean {
  return holds.some((each) => each.digest === digest);
}

function isSame(one: Built, other: Built): boolean {
  return one.digest === other.digest && one.commit === other.commit;
}
