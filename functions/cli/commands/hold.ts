import type { Digest, Repository } from "../../../shared/domain/reference.ts";
import type { Ledger } from "../../../shared/ledger/ledger.ts";
import type { WorkloadDocument } from "../../../shared/ledger/workload-document.ts";
import type { Answer, Command } from "../command.ts";
import { digestsOf, namedDigest, namedRepository, namedWorkload, recorded } from "../named.ts";
import { giveOrder, type Ordering, orderMessage, orderOptions, reasonOf } from "../ordering.ts";
import { shortDigest } from "../render/words.ts";

export const hold: Command = {
  name: "hold",
  summary: "keep a digest from being deployed, everywhere or to one workload",
  parameters: "IMAGE@DIGEST | WORKLOAD [DIGEST]",
  maxArguments: 2,
  options: orderOptions,
  help: `A digest that is held is not deployed, whatever asks for it: pushes, builds, promotions, drift, a person's deploy. Any
other digest is. IMAGE@DIGEST holds it for every workload; WORKLOAD [DIGEST] for that one: without a DIGEST, the one
that it runs or is being brought to.

What runs already is left running (\`landfall rollback\` takes it back); a rollout to it that has written nothing yet
ends. Only \`landfall release\` lifts what a person holds.

Of a DIGEST that is on record the first 6 digits or more are enough, as \`landfall status\` prints them.`,
  examples: [
    ["hold acme/web@4c46414c0000 --reason 'drops the cart table'", "nobody gets this one"],
    ["hold prod/web", "what it runs now does not come back once it is gone"],
    ["hold prod/web 4c46414c0000 --dry-run", "look first"],
  ],
  async run(call, context) {
    const [asked, digest] = call.arguments;
    if (asked === undefined || (asked.includes("@") && digest !== undefined)) {
      return {
        kind: "usage",
        text: "Say what to hold, e.g. hold acme/web@4c46414c0000 or hold prod/web 4c46414c0000",
      };
    }
    const said = reasonOf(call);
    if ("kind" in said) return said;
    return giveOrder(call, context, async (open) => {
      const ledger = await open();
      const held = await (asked.includes("@")
        ? everywhere(asked, ledger)
        : forWorkload(asked, digest, ledger));
      if ("kind" in held) return held;
      const { image, digest: meant, workload, runs, isSo } = held;
      const where = workload ?? "every workload";
      return {
        subject: `${image}@${shortDigest(meant)}: hold`,
        rows: [
          ["digest", meant],
          ["for", where],
          [
            "lifted",
            `by \`landfall release ${workload === undefined ? `${image}@${shortDigest(meant)}` : `${workload} ${shortDigest(meant)}`}\``,
          ],
        ],
        remarks: runs.map(
          (id) => `${id} runs it and is left running: \`landfall rollback ${id}\` takes it back.`,
        ),
        preview: { image, digest: meant, ...(workload === undefined ? {} : { workload }), runs },
        isSo,
        messages: [
          orderMessage({
            do: "hold",
            image,
            digest: meant,
            ...(workload === undefined ? {} : { workload }),
            ...said,
          }),
        ],
      } satisfies Ordering;
    });
  },
};

interface Held {
  readonly image: Repository;
  readonly digest: Digest;
  readonly workload?: WorkloadDocument["workload"];
  /** Who runs it now. */
  readonly runs: readonly string[];
  readonly isSo: boolean;
}

async function everywhere(asked: string, ledger: Ledger): Promise<Held | Answer> {
  const meant = await namedImageDigest(asked, ledger);
  if ("kind" in meant) return meant;
  const { repository: image, digest, documents } = meant;
  const holds = (await ledger.get("images", image))?.value.holds ?? [];
  const runs = documents.filter((each) => runsDigest(each, digest)).map(({ workload }) => workload);
  return { image, digest, runs, isSo: holds.some((each) => each.digest === digest) };
}

async function forWorkload(asked: string, text: string | undefined, ledger: Ledger): Promise<Held | Answer> {
  const named = await namedWorkload(asked, ledger);
  if ("kind" in named) return named;
  const { id: workload, document } = named;
  if (document === undefined) {
    return { kind: "failed", text: `Landfall has not met ${workload} yet: hold the image, IMAGE@DIGEST.` };
  }
  const containers = Object.values({ ...recorded(document), ...document.open?.to });
  const [first, ...others] = containers;
  if (first === undefined) return { kind: "failed", text: `Nothing is on record that ${workload} runs.` };
  if (text === undefined && others.some(({ digest }) => digest !== first.digest)) {
    const each = containers.map(({ repository, digest }) => `  ${shortDigest(digest)}  ${repository}`);
    return { kind: "usage", text: [`${workload} runs several digests; say which one:`, ...each].join("\n") };
  }
  const meant =
    text === undefined ? { digest: first.digest } : namedDigest(text, await digestsOf(document, ledger));
  if ("kind" in meant) return meant;
  const { digest } = meant;
  const { repository: image } = containers.find((each) => each.digest === digest) ?? first;
  const isSo = document.holds.some((each) => each.digest === digest && each.by !== undefined);
  return { image, digest, workload, runs: runsDigest(document, digest) ? [workload] : [], isSo };
}

function runsDigest(document: WorkloadDocument, digest: Digest): boolean {
  return Object.values(recorded(document)).some((each) => each.digest === digest);
}

/** IMAGE@DIGEST, with an image and a digest as short as they are still told apart. */
export async function namedImageDigest(
  asked: string,
  ledger: Ledger,
): Promise<
  | {
      readonly repository: Repository;
      readonly digest: Digest;
      readonly documents: readonly WorkloadDocument[];
    }
  | (Answer & { readonly text: string })
> {
  const at = asked.indexOf("@");
  const documents = (await ledger.workloads()).map(({ value }) => value);
  const named = namedRepository(asked.slice(0, at), documents);
  if ("kind" in named) return named;
  const { repository } = named;
  const image = (await ledger.get("images", repository))?.value;
  const running = documents.filter((each) =>
    Object.values(recorded(each)).some((container) => container.repository === repository),
  );
  const known = [
    ...(await Promise.all(running.map((each) => digestsOf(each, ledger)))).flat(),
    ...(image?.builds ?? []).map(({ digest }) => digest),
    ...(image?.holds ?? []).map(({ digest }) => digest),
    ...Object.values(image?.channels ?? {}).flatMap(({ promoted }) => promoted?.digest ?? []),
  ];
  const meant = namedDigest(asked.slice(at + 1), known);
  return "kind" in meant ? meant : { repository, digest: meant.digest, documents };
}
