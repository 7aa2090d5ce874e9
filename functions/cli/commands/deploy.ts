import type { Answer, Command } from "../command.ts";
import { type NamedWorkload, namedRepository, namedWorkload, recorded } from "../named.ts";
import { giveOrder, orderMessage, orderOptions, reasonOf, untilOf, untilOption } from "../ordering.ts";
import { knownTag, pinText, previewDeploy } from "../preview.ts";

export const deploy: Command = {
  name: "deploy",
  summary: "bring workloads to an image, and pin them there",
  parameters: "IMAGE:TAG [WORKLOAD...]",
  maxArguments: 100,
  options: { ...untilOption, ...orderOptions },
  help: `Brings each WORKLOAD to the digest that IMAGE:TAG has in the registry when the order is taken, every container that
runs IMAGE; without a WORKLOAD, all that run IMAGE on record: look first with --dry-run. Freezes do not hold it up, and
neither does a policy. A workload on a channel keeps the channel's tag, at the digest of TAG.

Each is pinned there: what was known before does not replace it, the same tag pushed again neither. --until next lets
the next newer build or digest through; --until release nothing before \`landfall release WORKLOAD\`.

WORKLOAD is an address such as swarm-prod/web, or any tail of it that is unique.`,
  examples: [
    ["deploy acme/web:v1.4.2 prod/web --reason 'v1.5 loses sessions'", "the one that worked, by its tag"],
    ["deploy acme/web:v1.5 --dry-run", "which workloads would get it?"],
    ["deploy acme/web:v1.5 prod/web --wait --timeout 5m", "and tell when it runs"],
    ["deploy acme/web:hotfix-7 prod/web --until release", "nothing else until a person says so"],
  ],
  async run(call, context) {
    const [asked, ...names] = call.arguments;
    if (asked === undefined || asked.includes("@")) {
      return { kind: "usage", text: "Say which image, by its tag, e.g. deploy acme/web:v1.4.2 prod/web" };
    }
    const said = { ...reasonOf(call), ...untilOf(call) };
    if ("kind" in said) return said;
    return giveOrder(call, context, async (open) => {
      const ledger = await open();
      const documents = (await ledger.workloads()).map(({ value }) => value);
      const image = namedRepository(asked, documents);
      if ("kind" in image) return image;
      const { repository, tag } = image;
      if (tag === undefined) {
        return { kind: "usage", text: `\`${asked}\` has no tag: write IMAGE:TAG, e.g. ${asked}:v1.4.2` };
      }
      const running = documents.filter((each) =>
        Object.values(recorded(each)).some((container) => container.repository === repository),
      );
      const chosen: NamedWorkload[] = [];
      for (const name of names) {
        const workload = await namedWorkload(name, ledger);
        if ("kind" in workload) return workload;
        if (!chosen.some(({ id }) => id === workload.id)) chosen.push(workload);
      }
      if (names.length === 0) {
        chosen.push(...running.map((document) => ({ id: document.workload, document })));
        if (chosen.length === 0) return nobodyRuns(repository);
      }
      const known = await knownTag(ledger, repository, tag);
      const nowMs = context.clock.now();
      const previews = chosen.map(({ id, document }) => ({
        id,
        preview:
          document === undefined || !running.some(({ workload }) => workload === id)
            ? undefined
            : previewDeploy(document, { repository, tag }, known, said.until, nowMs),
      }));
      return {
        subject: `${repository}:${tag}`,
        rows: [
          ...previews.map(({ id, preview }) => [id, preview?.text ?? notOnRecord] as const),
          ["pinned", pinText(said.until)],
        ],
        preview: previews.flatMap(({ preview }) => preview?.change ?? []),
        isSo: previews.every(({ preview }) => preview?.isSo === true),
        messages: chosen.map(({ id: workload }) =>
          orderMessage({ do: "deploy", workload, image: repository, tag, ...said }),
        ),
      };
    });
  },
};

const notOnRecord = "is not on record as running it: refused, unless it does by now";

function nobodyRuns(repository: string): Answer {
  return {
    kind: "failed",
    text:
      `No workload on record runs ${repository}. \`landfall status\` lists what is on record; ` +
      "one that Landfall has not met yet has to be named whole, e.g. swarm-prod/web.",
  };
}
