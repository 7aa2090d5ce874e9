import { channelOf, proving } from "../decide/promotion.ts";
import { judgeHealth } from "../decide/proof.ts";
import { decidePush } from "../decide/push.ts";
import type { ChannelRule } from "../decide/rules.ts";
import { asFollowed } from "../decide/way-back.ts";
import type { Repository } from "../domain/reference.ts";
import type { Workload } from "../domain/workload.ts";
import { messageOf, retryAfterOf } from "../errors.ts";
import type { Asked, Built, Channel } from "../ledger/image-document.ts";
import type { Write } from "../ledger/ledger.ts";
import type { FlowDeps, FlowTarget } from "./deps.ts";
import { loadImage, saveChannel } from "./image.ts";
import { stoppedNotice } from "./image-notices.ts";
import { knownOf } from "./plan.ts";
import { silenceOf } from "./plan-target.ts";

/** How a digest does on the channel that has to prove it. */
type Proof =
  /** `lost`: tasks that have ended by themselves so far. */
  | { readonly kind: "well"; readonly lost: number }
  /** Rollouts are under way. */
  | { readonly kind: "open" }
  | { readonly kind: "failed"; readonly detail: string }
  /** Nobody can say now: what was proven until then still counts. */
  | Unknown;

interface Unknown {
  readonly kind: "unknown";
  readonly reason: string;
  readonly detail: string;
  readonly retryAfterMs: number;
}

/**
 * Asks for a digest on a channel once every workload on the channel before it has verified it, and has run it well for
 * the soak. A failure there stops it; the next digest starts anew.
 */
export async function prove(deps: FlowDeps, repository: Repository, rule: ChannelRule): Promise<void> {
  const stored = await loadImage(deps, repository);
  const candidate = proving(stored.value, rule);
  const before = deps.rule(repository).channels.find(({ tag }) => tag === rule.after);
  if (candidate === undefined || before === undefined) return;
  const channel = channelOf(stored.value, rule.tag);
  const { trouble, ...rest } = channel;
  const soak = channel.soak?.digest === candidate.digest ? channel.soak : { digest: candidate.digest };
  if (soak.stopped !== undefined) return;
  const nowMs = await deps.ledger.clock();
  if (soak.sinceMs !== undefined && nowMs < soak.sinceMs + rule.soakMs) return;
  if ((trouble?.untilMs ?? 0) > nowMs) return;

  const source = channelOf(stored.value, before.tag);
  const workloads: Proof =
    source.planned < source.generation
      ? { kind: "open" }
      : await proofOf(deps, repository, before, candidate, source.generation);
  const isDone = workloads.kind === "well" && (rule.soakMs === 0 || soak.sinceMs !== undefined);
  const lost = workloads.kind === "well" ? workloads.lost - (soak.lost ?? workloads.lost) : 0;
  const proof: Proof =
    lost > 0
      ? {
          kind: "failed",
          detail: `${lost} tasks with ${candidate.tag} have ended by themselves on ${before.tag}`,
        }
      : isDone
        ? ((await objection(deps, repository, channel.promoted, candidate)) ?? workloads)
        : workloads;
  const save = (next: Channel, more: readonly Write[] = []) =>
    saveChannel(deps, "image.proof", stored, rule.tag, next, more);
  switch (proof.kind) {
    case "open":
      await save({ ...rest, soak: { digest: candidate.digest } });
      return;
    case "unknown": {
      const { reason, detail, retryAfterMs } = proof;
      const times = (trouble?.times ?? 0) + 1;
      const until = { reason, detail, times, untilMs: nowMs + retryAfterMs };
      await save({ ...rest, soak, trouble: until });
      return;
    }
    case "failed": {
      const told = stoppedNotice(deps, repository, rule, candidate, proof.detail, nowMs);
      if ((await save({ ...rest, soak: { ...soak, stopped: proof.detail } }, told)) !== undefined) {
        deps.log.write("alert", `${repository}:${rule.tag} stays: ${proof.detail}`, {
          outcome: "soak-failed",
        });
      }
      return;
    }
    case "well": {
      const next: Channel = isDone
        ? { ...rest, soak, asked: candidate }
        : { ...rest, soak: { ...soak, sinceMs: nowMs, lost: proof.lost } };
      await save(next);
      return;
    }
    default:
      return proof satisfies never;
  }
}

/** What stands against moving a channel from what it has to what was proven: it only ever moves forward by itself. */
async function objection(
  deps: FlowDeps,
  repository: Repository,
  promoted: Built | undefined,
  candidate: Asked,
): Promise<Proof | undefined> {
  const { git } = deps.rule(repository);
  if (git === undefined || promoted === undefined) return undefined;
  const { commit: from } = promoted;
  const { commit: to, tag } = candidate;
  if (to === undefined) return { kind: "failed", detail: `nobody knows of which commit ${tag} is` };
  if (from === undefined) return undefined;
  try {
    const order = await deps.recorder.step("history.order", () => deps.history.order(git, from, to));
    if (order === "newer" || order === "same") return undefined;
    return { kind: "failed", detail: `${to.slice(0, 12)} is ${order} to ${from.slice(0, 12)}, which it has` };
  } catch (error) {
    return unknown(error);
  }
}

async function proofOf(
  deps: FlowDeps,
  repository: Repository,
  rule: ChannelRule,
  candidate: Built,
  generation: number,
): Promise<Proof> {
  const proofs: Proof[] = [];
  for (const at of deps.targets) {
    if (rule.targets?.includes(at.target.name) === false) continue;
    try {
      const workloads = await deps.recorder.step("target.list", () => at.target.list());
      for (const workload of workloads) {
        proofs.push(
          ...(await proofOn(deps, at, workload, { repository, tag: rule.tag, generation }, candidate)),
        );
      }
    } catch (error) {
      proofs.push(unknown(error));
    }
  }
  const worst = (["failed", "open", "unknown"] as const).flatMap((kind) =>
    proofs.filter((proof) => proof.kind === kind),
  )[0];
  return worst ?? { kind: "well", lost: proofs.reduce((sum, each) => sum + lostIn(each), 0) };
}

function lostIn(proof: Proof): number {
  return proof.kind === "well" ? proof.lost : 0;
}

function unknown(error: unknown): Unknown {
  const reason = silenceOf(error);
  if (reason === undefined) throw error;
  return { kind: "unknown", reason, detail: messageOf(error), retryAfterMs: retryAfterOf(error) ?? 0 };
}

/** Nothing for a workload that does not follow the channel, or that a rule keeps from following it. */
async function proofOn(
  deps: FlowDeps,
  at: FlowTarget,
  workload: Workload,
  channel: { readonly repository: Repository; readonly tag: string; readonly generation: number },
  candidate: Built,
): Promise<readonly Proof[]> {
  const { digest } = candidate;
  const seen = { ...channel, digest, line: "channel" as const };
  const rules = { mode: at.mode, rule: deps.rule(channel.repository) };
  if (decidePush(seen, workload, knownOf(undefined, 0), rules).kind === "unrelated") return [];
  const stored = await deps.ledger.get("workloads", workload.id);
  const shown = asFollowed(workload, stored?.value.detours);
  const decision = decidePush(seen, shown, knownOf(stored?.value, await deps.ledger.clock()), rules);
  switch (decision.kind) {
    case "unrelated":
      return [];
    case "join":
      return [{ kind: "open" }];
    case "roll-out":
      return [
        decision.again === true
          ? { kind: "failed", detail: `${workload.id} could not be verified with ${candidate.tag}` }
          : { kind: "failed", detail: `${workload.id} does not run ${candidate.tag}` },
      ];
    case "skip":
      if (decision.reason === "held" || decision.reason === "changed-outside") {
        return [{ kind: "failed", detail: `${workload.id}: ${decision.detail ?? decision.reason}` }];
      }
      return decision.reason === "already-running" ? [await health(deps, at, workload, candidate)] : [];
    default:
      return decision satisfies never;
  }
}

async function health(deps: FlowDeps, at: FlowTarget, workload: Workload, { digest }: Built): Promise<Proof> {
  const look = await deps.recorder.step("target.look", () => at.target.look(workload.name));
  return look === undefined ? { kind: "open" } : judgeHealth(look, digest);
}
