import type { Wanted } from "../../../shared/domain/rollout.ts";
import type { Ledger } from "../../../shared/ledger/ledger.ts";
import type { WorkloadDocument } from "../../../shared/ledger/workload-document.ts";
import type { Command } from "../command.ts";
import { namedWorkload, recorded } from "../named.ts";
import { giveOrder, orderMessage, orderOptions, reasonOf, untilOf, untilOption } from "../ordering.ts";
import { pinText, previewRollback, previewStay } from "../preview.ts";

export const rollback: Command = {
  name: "rollback",
  summary: "bring a workload back to what ran well before, and pin it there",
  parameters: "WORKLOAD",
  maxArguments: 1,
  options: {
    channel: {
      type: "boolean",
      about: "Move the channel that it is on back too, and with it all that are on it.",
    },
    ...untilOption,
    ...orderOptions,
  },
  help: `Goes back to the newest images that this workload was seen to run well, before those that it runs or is being brought
to now. Given again, it goes one further back; it never returns to what it left. Freezes do not hold it up.

It stays there: the workload is pinned, and what was known before does not replace it. --until next (the default) lets
the next newer build or digest through, --until release nothing before \`landfall release WORKLOAD\`. To keep one bad
digest away for good, and let anything newer through: \`landfall hold\`.

A channel's tag stays where it is, and \`landfall status\` says so; with --channel the tag goes back to the same digest, as
if it had been promoted by hand, and moves on with the next newer commit. Of a workload that was brought back before,
--channel moves the tag alone, to what runs there.

If somebody else was faster, the order changes nothing: two who give it at once go back once.`,
  examples: [
    ["rollback prod/web --reason 'checkout is slow'", "back, and tell the others why"],
    ["rollback prod/web --dry-run", "to what would it go?"],
    ["rollback prod/web --wait", "and tell when it runs again"],
    ["rollback prod/web --channel", "the tag prod too, and everyone on it"],
  ],
  async run(call, context) {
    const [asked] = call.arguments;
    if (asked === undefined) return { kind: "usage", text: "Say which workload, e.g. rollback prod/web" };
    const said = { ...reasonOf(call), ...untilOf(call) };
    if ("kind" in said) return said;
    const isChannel = call.options.channel === true;
    return giveOrder(call, context, async (open) => {
      const ledger = await open();
      const named = await namedWorkload(asked, ledger);
      if ("kind" in named) return named;
      const { id: workload, document } = named;
      const isLeft = isChannel && document !== undefined && (await hasLeftChannels(document, ledger));
      const previewed =
        document === undefined
          ? undefined
          : isLeft
            ? previewStay(document, said.until)
            : await previewRollback(document, ledger, said.until);
      if (document === undefined || previewed === undefined) {
        const how = "`landfall deploy IMAGE:TAG WORKLOAD` brings it to a tag that you name";
        return { kind: "failed", text: `Nothing is on record that ${workload} ran well before: ${how}.` };
      }
      const others = (await ledger.workloads()).map(({ value }) => value);
      const channels = channelsOf(document).map(({ repository, tag }) => ({
        name: `${repository}:${tag}`,
        others: others.filter(
          (each) => each !== document && each.workload !== workload && isOn(each, repository, tag),
        ),
      }));
      if (isChannel && channels.length === 0) {
        return { kind: "failed", text: `${workload} is on no channel: give the order without --channel.` };
      }
      const image = channelsOf(document)[0]?.repository;
      return {
        subject: `${workload}: rollback`,
        rows: [
          ["back", previewed.text],
          ["pinned", pinText(said.until)],
          ...(isChannel ? channels.map(({ name }) => ["channel", `${name} goes back too`] as const) : []),
        ],
        remarks: channels.map((each) => remark(each, isChannel)),
        preview: [previewed.change],
        isSo: previewed.isSo,
        ...(isChannel && image !== undefined ? { image } : {}),
        messages: [
          orderMessage({
            do: "rollback",
            workload,
            ...(isChannel ? { channel: true } : {}),
            seen: document.seq,
            ...said,
          }),
        ],
      };
    });
  },
};

function channelsOf(document: WorkloadDocument): readonly Wanted[string][] {
  return Object.values(recorded(document)).filter(({ line }) => line === "channel");
}

/** Whether it was brought away from what its channels have, so that only their tags are to go back. */
async function hasLeftChannels(document: WorkloadDocument, ledger: Pick<Ledger, "get">): Promise<boolean> {
  const channels = channelsOf(document);
  const left = await Promise.all(
    channels.map(async ({ repository, tag, digest }) => {
      const promoted = (await ledger.get("images", repository))?.value.channels[tag]?.promoted;
      return promoted !== undefined && promoted.digest !== digest;
    }),
  );
  return document.open === undefined && channels.length > 0 && left.every((each) => each);
}

function isOn(document: WorkloadDocument, repository: string, tag: string): boolean {
  return channelsOf(document).some((each) => each.repository === repository && each.tag === tag);
}

function remark(
  { name, others }: { readonly name: string; readonly others: readonly WorkloadDocument[] },
  isChannel: boolean,
): string {
  const who = others.map(({ workload }) => workload).join(", ");
  if (!isChannel) return `The channel ${name} stays where it is; --channel moves it back too.`;
  return others.length === 0
    ? `Nobody else on record is on ${name}.`
    : `On ${name} too, and brought back with it unless pinned: ${who}.`;
}
