import type { Ledger } from "../../../shared/ledger/ledger.ts";
import type { Hold } from "../../../shared/ledger/workload-document.ts";
import type { Answer, Command } from "../command.ts";
import { digestsOf, namedDigest, namedWorkload } from "../named.ts";
import { giveOrder, type Ordering, orderMessage, orderOptions, reasonOf } from "../ordering.ts";
import { ago } from "../render/time.ts";
import { shortDigest } from "../render/words.ts";
import { namedImageDigest } from "./hold.ts";

export const release: Command = {
  name: "release",
  summary: "take back pins and holds: let a workload follow its image again",
  parameters: "WORKLOAD [DIGEST] | IMAGE@DIGEST",
  maxArguments: 2,
  options: orderOptions,
  help: `Of a WORKLOAD: the pin that \`rollback\` and \`deploy\` leave, and all that is held for it; with a DIGEST only the hold of that
one. IMAGE@DIGEST takes back what \`landfall hold IMAGE@DIGEST\` did.

What the workload follows is looked at again at once: where it is behind, it is deployed. What is held everywhere, or
paused, stays so.`,
  examples: [
    ["release prod/web", "the fix is there: follow the image again"],
    ["release prod/web 4c46414c0000", "this digest may come back; the pin stays"],
    ["release acme/web@4c46414c0000", "held everywhere until now"],
    ["release prod/web --dry-run", "what is it that keeps it?"],
  ],
  async run(call, context) {
    const [asked, digest] = call.arguments;
    if (asked === undefined || (asked.includes("@") && digest !== undefined)) {
      return {
        kind: "usage",
        text: "Say what to release, e.g. release prod/web or release acme/web@4c46414c0000",
      };
    }
    const said = reasonOf(call);
    if ("kind" in said) return said;
    return giveOrder(call, context, async (open) => {
      const ledger = await open();
      return asked.includes("@")
        ? releaseImage(asked, ledger, said, context.clock.now())
        : releaseWorkload(asked, digest, ledger, said, context.clock.now());
    });
  },
};

type Said = { readonly reason?: string };

async function releaseImage(
  asked: string,
  ledger: Ledger,
  said: Said,
  nowMs: number,
): Promise<Ordering | Answer> {
  const meant = await namedImageDigest(asked, ledger);
  if ("kind" in meant) return meant;
  const { repository: image, digest } = meant;
  const holds = (await ledger.get("images", image))?.value.holds ?? [];
  const held = holds.filter((each) => each.digest === digest);
  return {
    subject: `${image}@${shortDigest(digest)}: release`,
    rows:
      held.length === 0
        ? [["lifts", "nothing: it is not held everywhere"]]
        : held.map((each) => ["lifts", holdText(each, nowMs)]),
    preview: { image, digest, holds: held },
    isSo: held.length === 0,
    messages: [orderMessage({ do: "release", image, digest, ...said })],
  };
}

async function releaseWorkload(
  asked: string,
  text: string | undefined,
  ledger: Ledger,
  said: Said,
  nowMs: number,
): Promise<Ordering | Answer> {
  const named = await namedWorkload(asked, ledger);
  if ("kind" in named) return named;
  const { id: workload, document } = named;
  const meant =
    text === undefined ? undefined : namedDigest(text, document ? await digestsOf(document, ledger) : []);
  if (meant !== undefined && "kind" in meant) return meant;
  const { pin, holds = [] } = document ?? {};
  const lifted = text === undefined ? pin : undefined;
  const held = holds.filter(({ digest }) => meant === undefined || digest === meant.digest);
  const isSo = lifted === undefined && held.length === 0;
  return {
    subject: `${workload}: release`,
    rows: [
      ...(lifted === undefined
        ? []
        : [
            [
              "lifts",
              `the pin of ${lifted.by}, ${ago(lifted.sinceMs, nowMs)}${because(lifted.reason)}`,
            ] as const,
          ]),
      ...held.map((each) => ["lifts", holdText(each, nowMs)] as const),
      ...(isSo ? [["lifts", "nothing: nobody pinned it, and nothing is held for it"] as const] : []),
      ...(isSo
        ? []
        : [["then", "what it follows is looked at again, and deployed where it is behind"] as const]),
    ],
    remarks:
      document?.pause === undefined ? [] : [`It is paused: \`landfall resume ${workload}\` ends that.`],
    looked: { workload, seq: document?.seq ?? 0 },
    preview: { workload, ...(lifted === undefined ? {} : { pin: lifted }), holds: held },
    isSo,
    messages: [orderMessage({ do: "release", workload, ...meant, ...said })],
  };
}

function holdText({ digest, by = "Landfall", sinceMs, reason }: Hold, nowMs: number): string {
  return `the hold of ${shortDigest(digest)} by ${by}, ${ago(sinceMs, nowMs)}${because(reason)}`;
}

function because(reason: string | undefined): string {
  return reason === undefined ? "" : `: ${reason}`;
}
