import { newChannel, proving } from "../decide/promotion.ts";
import { decidePush } from "../decide/push.ts";
import type { ChannelRule } from "../decide/rules.ts";
import type { Repository } from "../domain/reference.ts";
import type { Workload } from "../domain/workload.ts";
import { isTargetTrouble } from "../errors.ts";
import type { Built, Channel } from "../ledger/image-document.ts";
import type { Stored, Write } from "../ledger/ledger.ts";
import type { FlowDeps, FlowTarget } from "./deps.ts";
import { loadImage, saveImage } from "./image.ts";
import { stoppedNotice } from "./image-notices.ts";
import { knownOf } from "./plan.ts";

/** How a digest does on the channel that has to prove it. */
type Proof =
  | { readonly kind: "well" }
  /** Rollouts are under way, or could not be asked. */
  | { readonly kind: "open" }
  | { readonly kind: "failed"; readonly detail: string };

/**
 * Asks for a digest on a channel once every workload on the channel before it has verified it, and has run it well for
 * the soak. A failure there stops it; the next digest starts anew.
 */
export async function prove(deps: FlowDeps, repository: Repository, rule: ChannelRule): Promise<void> {
  const stored = await loadImage(deps, repository);
  const candidate = proving(stored.value, rule);
  const before = deps.rule(repository).channels.find(({ tag }) => tag === rule.after);
  if (candidate === undefined || before === undefined) return;
  const channel = stored.value.channels[rule.tag] ?? newChannel;
  const soak = channel.soak?.digest === candidate.digest ? channel.soak : { digest: candidate.digest };
  if (soak.stopped !== undefined) return;
  const nowMs = await deps.ledger.clock();
  if (soak.sinceMs !== undefined && nowMs < soak.sinceMs + rule.soakMs) return;

  const source = stored.value.channels[before.tag] ?? newChannel;
  const proof: Proof =
    source.planned < source.generation
      ? { kind: "open" }
      : await proofOf(deps, repository, before, candidate, source.generation);
  switch (proof.kind) {
    case "open":
      await save(deps, stored, rule, { ...channel, soak: { digest: candidate.digest } });
      return;
    case "failed":
      deps.log.write("alert", `${repository}:${rule.tag} stays: ${proof.detail}`, { outcome: "soak-failed" });
      await save(
        deps,
        stored,
        rule,
        { ...channel, soak: { ...soak, stopped: proof.detail } },
        stoppedNotice(deps, repository, rule, candidate, proof.detail, nowMs),
      );
      return;
    case "well": {
      const isDone = rule.soakMs === 0 || soak.sinceMs !== undefined;
      const next = isDone
        ? { ...channel, soak, asked: candidate }
        : { ...channel, soak: { ...soak, sinceMs: nowMs } };
      await save(deps, stored, rule, next);
      return;
    }
    default:
      return proof satisfies never;
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
      if (!isTargetTrouble(error)) throw error;
      proofs.push({ kind: "open" });
    }
  }
  return (
    proofs.find(({ kind }) => kind === "failed") ??
    proofs.find(({ kind }) => kind === "open") ?? { kind: "well" }
  );
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
  const decision = decidePush(seen, workload, knownOf(stored?.value, await deps.ledger.clock()), rules);
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
      return decision.reason === "already-running" ? [await health(deps, at, workload)] : [];
    default:
      return decision satisfies never;
  }
}

async function health(deps: FlowDeps, at: FlowTarget, workload: Workload): Promise<Proof> {
  const look = await deps.recorder.step("target.look", () => at.target.look(workload.name));
  if (look === undefined) return { kind: "open" };
  const running = new Set(
    look.tasks.filter((task) => task.desired && task.state === "running").map(({ slot }) => slot),
  );
  return running.size >= look.wantedTasks
    ? { kind: "well" }
    : { kind: "failed", detail: `${workload.id}: ${running.size} of ${look.wantedTasks} tasks run` };
}

async function save(
  deps: FlowDeps,
  stored: Stored<"images">,
  rule: ChannelRule,
  channel: Channel,
  more: readonly Write[] = [],
): Promise<void> {
  const channels = { ...stored.value.channels, [rule.tag]: channel };
  await saveImage(deps, "image.proof", stored, { ...stored.value, channels }, more);
}
