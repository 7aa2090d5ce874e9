import type { PushMessage } from "../bus/bus.ts";
import type { ChannelRule } from "../decide/rules.ts";
import { repositoryOf } from "../domain/push.ts";
import type { Repository } from "../domain/reference.ts";
import type { Built, Channel } from "../ledger/image-document.ts";
import type { Write } from "../ledger/ledger.ts";
import type { BuildHeard } from "./build.ts";
import type { FlowDeps } from "./deps.ts";
import { noticeWrites, tell } from "./notices.ts";

type Deps = Pick<FlowDeps, "notifiers" | "newId">;

/** Somebody else moved a channel. */
export function conflictNotice(
  deps: Deps,
  repository: Repository,
  { tag }: ChannelRule,
  { conflict }: Channel,
): readonly Write[] {
  if (conflict === undefined) return [];
  const { found, sinceMs } = conflict;
  const subject = `${repository}:${tag}`;
  const notice = {
    kind: "conflict",
    subject,
    sentence: `somebody else ${found === undefined ? "deleted it" : `moved it to ${found}`}; it is left as it is`,
    next: `\`landfall promote ${repository} ${tag} --adopt\` takes it over, \`--restore\` puts it back.`,
    atMs: sinceMs,
  } as const;
  return noticeWrites(deps, notice, `${subject} ${sinceMs}`);
}

/** What the channel before it showed keeps a digest from being promoted. */
export function stoppedNotice(
  deps: Deps,
  repository: Repository,
  { tag }: ChannelRule,
  { tag: from, digest, event }: Built,
  detail: string,
  atMs: number,
): readonly Write[] {
  return noticeWrites(deps, {
    kind: "soak-failed",
    subject: `${repository}:${tag}`,
    sentence: `${from} is not promoted to it: ${detail}`,
    next: `The next build starts anew; \`landfall promote ${repository} ${tag}\` promotes this one all the same.`,
    images: [`${repository}:${from}@${digest}`],
    event,
    atMs,
  });
}

/** A build that comes to nothing, where only a person can help. */
export function buildNotice(
  deps: Deps,
  { event, build, heardMs }: BuildHeard,
  pass: { readonly outcome: string; readonly detail?: string; readonly pauseMs?: number },
  alarming: ReadonlySet<string>,
): readonly Write[] {
  const { outcome, detail, pauseMs } = pass;
  if (pauseMs !== undefined || !alarming.has(outcome)) return [];
  return noticeWrites(deps, {
    kind: "held-back",
    subject: `${build.image}:${build.tag}`,
    sentence: detail === undefined ? outcome : `${outcome}: ${detail}`,
    next: `\`landfall explain ${event}\` tells more.`,
    event,
    atMs: heardMs,
  });
}

/** A push that nobody looks at any more. Before it is on record as done: whoever dies in between says so again. */
export async function tellGivenUp(
  deps: FlowDeps,
  { push, event }: PushMessage,
  detail = "it could not be looked at",
): Promise<void> {
  const notice = {
    kind: "given-up",
    subject: `${repositoryOf(push)}:${push.tag}`,
    sentence: detail,
    next: `\`landfall replay ${event}\` tries it again.`,
    event,
    atMs: await deps.ledger.clock(),
  } as const;
  await tell(deps, notice, event);
}
