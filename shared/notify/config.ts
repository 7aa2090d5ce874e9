import * as z from "zod/mini";
import { alarmingKinds, noticeKinds } from "../domain/notice.ts";

const on = z
  ._default(
    z.array(z.enum(noticeKinds)).check(z.minLength(1, "is empty; name at least one, or leave it away")),
    [...alarmingKinds],
  )
  .check(z.describe("What it tells. Left away: all but `succeeded`."));

function address(what: string) {
  return z
    .string()
    .check(
      z.refine(isAddress, "is no address; expected https://, or a template such as `${NAME}`"),
      z.describe(`${what}, mostly a secret: \`\${NAME}\` or \`\${file:/secrets/url}\`.`),
    );
}

const SlackConfig = z.strictObject({
  kind: z.literal("slack").check(z.describe("A channel of Slack, by an incoming webhook.")),
  url: address("The incoming webhook's address"),
  on,
});

const WebhookConfig = z.strictObject({
  kind: z.literal("webhook").check(z.describe("Anything that takes CloudEvents by HTTP POST.")),
  url: address("Where they are sent"),
  secret: z
    .string()
    .check(
      z.minLength(1, "is empty; name the variable or file that holds the secret"),
      z.describe(
        "What they are signed with, as Standard Webhooks has it: `whsec_` and 24 to 64 bytes in base64, e.g. `${NOTIFY_SECRET}`.",
      ),
    ),
  on,
});

/** The schema of the entries in `notify`, by kind; apart from their code, which only the sweep needs. */
export const NotifierConfig = z.discriminatedUnion("kind", [SlackConfig, WebhookConfig]);

/** A template may hold anything: it is looked at when it is used. */
function isAddress(text: string): boolean {
  if (text.includes("${")) return true;
  return /^https?:$/.test(URL.parse(text)?.protocol ?? "");
}
