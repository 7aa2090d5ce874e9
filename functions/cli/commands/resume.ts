import type { Command } from "../command.ts";
import { namedWorkload } from "../named.ts";
import { giveOrder, orderMessage, orderOptions, reasonOf } from "../ordering.ts";
import { ago } from "../render/time.ts";

export const resume: Command = {
  name: "resume",
  summary: "end a pause: what the workload missed is deployed",
  parameters: "WORKLOAD",
  maxArguments: 1,
  options: orderOptions,
  help: `Ends what \`landfall pause\` began, early or because it has no end: what the workload follows is looked at once, and
deployed at its newest. The label \`landfall.pause\` is taken away on the workload itself. One that is not paused any more
is no error.`,
  examples: [
    ["resume prod/web", "go on"],
    ["resume prod/web --dry-run", "who paused it, and why?"],
  ],
  async run(call, context) {
    const [asked] = call.arguments;
    if (asked === undefined) return { kind: "usage", text: "Say which workload, e.g. resume prod/web" };
    const said = reasonOf(call);
    if ("kind" in said) return said;
    return giveOrder(call, context, async (open) => {
      const named = await namedWorkload(asked, await open());
      if ("kind" in named) return named;
      const { id: workload, document } = named;
      const { pause } = document ?? {};
      const why = pause?.reason === undefined ? "" : `: ${pause.reason}`;
      const ends =
        pause === undefined
          ? "nothing: it is not paused by an order"
          : `the pause of ${pause.by}, ${ago(pause.sinceMs, context.clock.now())}${why}`;
      return {
        subject: `${workload}: resume`,
        rows: [
          ["ends", ends],
          ...(pause === undefined
            ? []
            : [["then", "what it follows is looked at, and deployed where it is behind"] as const]),
        ],
        preview: { workload, ...(pause === undefined ? {} : { pause }) },
        isSo: pause === undefined,
        looked: { workload, seq: document?.seq ?? 0 },
        messages: [orderMessage({ do: "resume", workload, ...said })],
      };
    });
  },
};
