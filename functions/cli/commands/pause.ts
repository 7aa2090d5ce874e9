import { parseDuration } from "../../../shared/config/duration.ts";
import type { Answer, Call, Command } from "../command.ts";
import { namedWorkload } from "../named.ts";
import { giveOrder, orderMessage, orderOptions, reasonOf } from "../ordering.ts";
import { ago, instant } from "../render/time.ts";

export const pause: Command = {
  name: "pause",
  summary: "leave a workload alone, for a time or until it is resumed",
  parameters: "WORKLOAD",
  maxArguments: 1,
  options: {
    for: { type: "string", value: "TIME", about: "How long, e.g. 2h or 45m." },
    until: {
      type: "string",
      value: "TIME",
      about: "Until when, with its time zone, e.g. 2026-11-23T06:00Z.",
    },
    ...orderOptions,
  },
  help: `Nothing is deployed to it until then, whatever is pushed, built or found to have drifted; a rollout that has written
nothing yet ends, one that has goes on. What a person orders with \`deploy\` or \`rollback\` is done all the same, and so is
a rollback that Landfall has begun. When the pause ends, what the workload follows is looked at once, at its newest.

The label \`landfall.pause\` on the workload itself does the same without an end and without the ledger.`,
  examples: [
    ["pause prod/web --for 2h --reason 'inventory in the shop'", "and it goes on by itself"],
    ["pause prod/web --until 2026-11-23T06:00Z", "until the morning"],
    ["pause prod/web", "until `landfall resume prod/web`"],
  ],
  async run(call, context) {
    const [asked] = call.arguments;
    if (asked === undefined)
      return { kind: "usage", text: "Say which workload, e.g. pause prod/web --for 2h" };
    const nowMs = context.clock.now();
    const said = { ...reasonOf(call), ...untilMsOf(call, nowMs) };
    if ("kind" in said) return said;
    return giveOrder(call, context, async (open) => {
      const named = await namedWorkload(asked, await open());
      if ("kind" in named) return named;
      const { id: workload, document } = named;
      const { open: rollout, pause: before } = document ?? {};
      const { untilMs, reason } = said;
      const goesOn =
        rollout === undefined || rollout.state === "planned"
          ? []
          : [`Rollout ${rollout.seq} is under way and goes on.`];
      const replaced =
        before === undefined ? [] : [`It replaces the pause of ${before.by}, ${ago(before.sinceMs, nowMs)}.`];
      return {
        subject: `${workload}: pause`,
        rows: [
          [
            "until",
            untilMs === undefined
              ? `\`landfall resume ${workload}\``
              : `${instant(untilMs)}, ${ago(untilMs, nowMs)}`,
          ],
          ...(reason === undefined ? [] : [["reason", reason] as const]),
        ],
        remarks: [...goesOn, ...replaced],
        preview: { workload, ...(untilMs === undefined ? {} : { untilMs }) },
        isSo: before !== undefined && before.untilMs === untilMs && before.reason === reason,
        messages: [orderMessage({ do: "pause", workload, ...said })],
      };
    });
  },
};

function untilMsOf(
  { options }: Call,
  nowMs: number,
): { readonly untilMs?: number } | (Answer & { readonly kind: "usage" }) {
  const { for: duration, until } = options;
  if (duration !== undefined && until !== undefined) {
    return { kind: "usage", text: "Give --for or --until, not both." };
  }
  if (typeof duration === "string") {
    const ms = parseDuration(duration);
    if (ms === undefined || ms === 0) {
      return { kind: "usage", text: "--for needs a duration, e.g. --for 2h or --for 45m" };
    }
    return { untilMs: nowMs + ms };
  }
  if (typeof until !== "string") return {};
  const isWhole = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)$/.test(until);
  const untilMs = isWhole ? Date.parse(until) : Number.NaN;
  if (Number.isNaN(untilMs)) {
    const form = "a time with its zone, e.g. --until 2026-11-23T06:00Z or --until 2026-11-23T07:00+01:00";
    return { kind: "usage", text: `--until needs ${form}` };
  }
  if (untilMs <= nowMs) return { kind: "usage", text: `--until ${until} is over already.` };
  return { untilMs };
}
