import { imageOf } from "../../../shared/ledger/ledger.ts";
import type { Command } from "../command.ts";
import { giveOrder, orderMessage, orderOptions, reasonOf } from "../ordering.ts";
import { ago } from "../render/time.ts";
import { subjectOf } from "../render/words.ts";

export const replay: Command = {
  name: "replay",
  summary: "take a push or a build as if it had just been heard",
  parameters: "EVENT",
  maxArguments: 1,
  options: orderOptions,
  help: `For an event that came to nothing because something was in its way then: a registry that refused, a git host that was
down for too long, a configuration without the image. It is judged anew by what is true now, so a replay of an old
push deploys nothing old. \`landfall ledger\` and \`landfall explain\` name events.`,
  examples: [
    ["replay build-17393862412 --wait", "and tell what comes of it"],
    ["replay 0c9e1d9c-6bde-4d53-a2ba-0d4a2c3b1f0e --dry-run", "what was that one?"],
  ],
  async run(call, context) {
    const [asked] = call.arguments;
    if (asked === undefined) {
      return { kind: "usage", text: "Say which event, by its id: `landfall ledger` shows them." };
    }
    const said = reasonOf(call);
    if ("kind" in said) return said;
    return giveOrder(call, context, async (open) => {
      const event = (await (await open()).get("events", asked))?.value;
      if (event === undefined) {
        return {
          kind: "failed",
          text: `No event \`${asked}\` is on record: \`landfall ledger\` shows them.`,
        };
      }
      if (event.push === undefined && event.build === undefined) {
        const what = "is no push and no build: orders are given again by their own command";
        return { kind: "failed", text: `\`${asked}\` ${what}.` };
      }
      const image = imageOf(event)?.repository;
      return {
        subject: `${asked}: replay`,
        rows: [
          [event.push === undefined ? "build" : "push", subjectOf(event)],
          ["heard", ago(event.heardMs, context.clock.now())],
          ["came to", event.outcome ?? event.state],
        ],
        preview: { event: asked, image, outcome: event.outcome ?? null },
        messages: [orderMessage({ do: "replay", of: asked, ...said })],
        ...(image === undefined ? {} : { image }),
      };
    });
  },
};
