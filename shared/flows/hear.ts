import type { PushMessage } from "../bus/bus.ts";
import type { ImageBuild } from "../domain/build.ts";
import { isCommit } from "../domain/commit.ts";
import { repositoryOf } from "../domain/push.ts";
import type { Stored } from "../ledger/ledger.ts";
import { handleBuild } from "./build.ts";
import { handleChannelPush } from "./channel-push.ts";
import type { Budget, FlowDeps } from "./deps.ts";
import { handlePush } from "./push.ts";

/**
 * A push that was reported: of a tag that Landfall owns, of a commit of an image whose commits have an order, or of a tag
 * that workloads follow.
 * @param stored the event, where it is on record already
 */
export async function hear(
  deps: FlowDeps,
  message: PushMessage,
  budget: Budget,
  stored?: Stored<"events">,
): Promise<void> {
  const { push, event, heardMs } = message;
  const rule = deps.rule(repositoryOf(push));
  if (rule.channels.some(({ tag }) => tag === push.tag))
    return handleChannelPush(deps, message, budget, stored);
  const build = rule.git === undefined ? undefined : asBuild(message);
  if (build !== undefined) return handleBuild(deps, { event, heardMs, build }, budget, stored);
  return handlePush(deps, message, budget, stored);
}

/** A push whose tag, or whose report, names the commit. */
function asBuild({ push }: PushMessage): ImageBuild | undefined {
  const { tag, commit = tag, digest, branch, repoUrl } = push;
  if (tag === undefined || !isCommit(commit)) return undefined;
  return {
    kind: "build",
    image: repositoryOf(push),
    tag,
    commit,
    ...(digest === undefined ? {} : { digest }),
    ...(branch === undefined ? {} : { branch }),
    ...(repoUrl === undefined ? {} : { repo: repoUrl }),
  };
}
