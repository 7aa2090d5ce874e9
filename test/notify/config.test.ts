import { describe, expect, it } from "vitest";
import { notifiersOf } from "../../functions/wiring/notifiers.ts";
import { parseConfig } from "../../shared/config/parse.ts";
import { noticeKinds } from "../../shared/domain/notice.ts";
import { ConfigError } from "../../shared/errors.ts";
import { manualClock } from "../doubles/manual-clock.ts";

const withNotify = (entries: string) => parseConfig(`follow: ["docker.io/acme/*"]\nnotify: ${entries}`);

async function problemsOf(entries: string): Promise<readonly string[]> {
  try {
    await withNotify(entries);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

describe("notify", () => {
  it("is nobody, where it is left away", async () => {
    expect((await parseConfig('follow: ["docker.io/acme/*"]')).notify).toEqual([]);
  });

  it("tells all but what went well, unless it says otherwise", async () => {
    const { notify } = await withNotify('[{ kind: slack, url: "${SLACK_URL}" }]');
    expect(notify).toEqual([
      { kind: "slack", url: "${SLACK_URL}", on: noticeKinds.filter((kind) => kind !== "succeeded") },
    ]);
    const some = await withNotify(
      '[{ kind: webhook, url: "https://ops.acme.io/x", secret: "${S}", on: [succeeded, guarded] }]',
    );
    expect(some.notify[0]?.on).toEqual(["succeeded", "guarded"]);
  });

  it.each([
    { name: "another kind", entries: "[{ kind: teams, url: a }]", path: "notify[0].kind", says: /slack/ },
    { name: "no address", entries: "[{ kind: slack }]", path: "notify[0].url", says: /is missing/ },
    {
      name: "what is no address",
      entries: "[{ kind: slack, url: hooks.slack.com/services/hunter2 }]",
      path: "notify[0].url",
      says: /is no address/,
    },
    {
      name: "an empty address",
      entries: '[{ kind: slack, url: "" }]',
      path: "notify[0].url",
      says: /is no address/,
    },
    {
      name: "a webhook without a secret",
      entries: '[{ kind: webhook, url: "https://ops.acme.io" }]',
      path: "notify[0].secret",
      says: /is missing/,
    },
    {
      name: "a secret of Slack",
      entries: '[{ kind: slack, url: "${U}", secret: hunter2 }]',
      path: "notify[0].secret",
      says: /unknown key/,
    },
    {
      name: "a misspelt event",
      entries: '[{ kind: slack, url: "${U}", on: [faild] }]',
      path: "notify[0].on[0]",
      says: /did you mean `failed`/,
    },
    {
      name: "no event",
      entries: '[{ kind: slack, url: "${U}", on: [] }]',
      path: "notify[0].on",
      says: /is empty/,
    },
  ])("refuses $name", async ({ entries, path, says }) => {
    const problems = await problemsOf(entries);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(says);
    expect(problems[0]?.split(" ")[0]).toBe(path);
    expect(problems.join()).not.toContain("hunter2");
  });

  it("has a name for each, and reads no secret before it is used", async () => {
    const config = await withNotify(
      '[{ kind: slack, url: "${A}" }, { kind: webhook, url: "${B}", secret: "${C}" }, { kind: slack, url: "${D}" }]',
    );
    const clients: { close(): Promise<void> }[] = [];
    const secret = () => () => {
      throw new ConfigError(["notify[0].url: the environment variable A is not set"]);
    };
    const notifiers = notifiersOf({ config, secret }, { clock: manualClock() }, clients);
    expect(notifiers.map(({ name }) => name)).toEqual(["slack", "webhook", "slack-2"]);
    expect(clients).toEqual([]);
    const opened = await notifiers[0]?.open();
    expect(await notifiers[0]?.open()).toBe(opened);
    expect(clients).toHaveLength(1);
    const notice = { kind: "failed", subject: "a/b", sentence: "it exits", atMs: 1 } as const;
    await expect(
      opened?.send({ message: "m", kind: "failed", notices: [notice], more: 0 }),
    ).rejects.toMatchObject({ code: "CONFIG" });
    await Promise.all(clients.map((client) => client.close()));
  });
});
