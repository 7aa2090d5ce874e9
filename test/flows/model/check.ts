import type { Cause } from "../../../shared/domain/rollout.ts";
import type { DriftRow } from "../../../shared/ledger/report-document.ts";
import { app, digestIn, isBad, isPersons, nameOf, placeOf } from "./cast.ts";
import { type Played, start } from "./play.ts";
import { commits, type Script, type Service, services } from "./script.ts";
import type { Watch } from "./watch.ts";

/** What is wrong with the way in which a world came to rest, and with how it rests. */
export async function wrongs(played: Played, script: Script): Promise<readonly string[]> {
  return [
    ...played.watch.problems,
    ...services.flatMap((service) => written(played, service)),
    ...(await records(played)),
    ...(await newest(played)),
    ...(await rests(played, script)),
  ];
}

/** What was written to a workload, one after the other. */
function written({ here, watch, hands }: Played, service: Service): readonly string[] {
  const id = `swarm/${service}`;
  const wrong: string[] = [];
  let isByHand = false;
  const seen = new Map<string, number>();
  for (const [index, write] of here.target.writes.entries()) {
    if (write.workload !== id) continue;
    const about = `${id}/${write.seq}`;
    const plan = watch.plans.get(about);
    if (plan === undefined) continue;
    const { cause, to } = plan;
    const digest = digestIn(write.image);
    const was = digestIn(write.before.image);
    const hand = hands.findLast((each) => each.service === service && each.at <= index);
    const lastWrite = here.target.writes.findLastIndex((each, at) => at < index && each.workload === id);
    const left = here.target.writes[lastWrite]?.image ?? start[service];
    isByHand = hand !== undefined && hand.at > lastWrite && was !== digestIn(left);
    if (write.seq < write.before.fence) wrong.push(`${about}: written over ${write.before.fence}`);
    if (digest === was && !write.before.isDown && !plan.again) {
      wrong.push(`${about}: ${cause.kind} writes ${nameOf(digest)}, which it runs`);
    }
    const [place, before] = [placeOf(digest), placeOf(was)];
    const isBack = place !== undefined && before !== undefined && place < before;
    // Also where a rollback has brought back what somebody had put there.
    const wasByHand = hands.some(
      (each) => each.service === service && each.at <= index && digestIn(each.image) === was,
    );
    const mayGoBack =
      isPersons(origin(watch, id, cause)) || cause.kind === "rollback" || isByHand || wasByHand;
    if (isBack && !mayGoBack) wrong.push(`${about}: ${cause.kind} goes back to ${nameOf(digest)}`);
    if (isByHand && hand !== undefined && !isPersons(cause) && digest !== was) {
      const generation = Object.values(to)[0]?.generation ?? 0;
      const isNews = (seen.get(`${digest} ${generation}`) ?? index) >= hand.at;
      const wasUnderWay = plan.at <= hand.at;
      const isNewer = isNews && !["drift", "retry", "rollback"].includes(cause.kind);
      const isCarriedOn = wasUnderWay && !["retry", "rollback"].includes(cause.kind);
      // Who puts by hand what is rolled out just then is not told apart.
      const undone = watch.plans.get(`${id}/${cause.of}`)?.to[service]?.digest;
      if (!isNewer && !isCarriedOn && !(cause.kind === "rollback" && undone === was)) {
        wrong.push(`${about}: ${cause.kind} of ${nameOf(digest)} undoes ${nameOf(was)}, put there by hand`);
      }
    }
    for (const { digest: wanted, generation } of Object.values(to)) {
      const key = `${wanted} ${generation}`;
      seen.set(key, seen.get(key) ?? index);
    }
  }
  if (here.targets[1]?.writes.length !== 0) wrong.push("what is only observed was written");
  return wrong;
}

/** Why the first of the rollouts was made that led to one by being tried again. */
function origin(watch: Watch, id: string, cause: Cause): Cause {
  const tried = cause.kind === "retry" ? watch.plans.get(`${id}/${cause.of}`)?.cause : undefined;
  return tried === undefined ? cause : origin(watch, id, tried);
}

/** Everything in the ledger is at its end, and says why. */
async function records({ here }: Played): Promise<readonly string[]> {
  const wrong: string[] = [...here.deadLetters];
  const final = ["succeeded", "failed", "rolled-back", "rollback-unavailable", "superseded"];
  for (const { id, value } of await here.ledger.rollouts({}, 1000)) {
    const isTold = value.reason !== undefined && value.reason !== "";
    if (!final.includes(value.state) || !isTold) wrong.push(`${id} ended as ${value.state}: ${value.reason}`);
  }
  for (const { id, value } of await here.ledger.workloads()) {
    if (value.open !== undefined) wrong.push(`${id} is still in rollout ${value.open.seq}`);
  }
  for (const { id, value } of await here.ledger.events({ nowMs: here.clock.now() }, 1000)) {
    if (value.state !== "done") wrong.push(`${id} is ${value.state}`);
  }
  return wrong;
}

/** The newest commit that was heard of is the head, and the channel has it. */
async function newest({ here, heard }: Played): Promise<readonly string[]> {
  const image = (await here.ledger.get("images", app))?.value;
  const place = commits.findLastIndex((commit) => heard.has(commit));
  const head = image?.head?.digest;
  const promoted = image?.channels.prod?.promoted?.digest;
  const tag = here.registry.digestOf(app, "prod");
  const is = `the head is ${nameOf(head)}, prod is ${nameOf(promoted)}, its tag at ${nameOf(tag)}`;
  return [
    ...(placeOf(head) === place ? [] : [`${is}, and ${commits[place]} was heard of`]),
    ...(promoted === head && tag === head ? [] : [is]),
    ...(image?.dueMs === undefined ? [] : ["the image is still due"]),
  ];
}

/** Each workload runs what is wanted, or something on record says why not. */
async function rests(played: Played, script: Script): Promise<readonly string[]> {
  const wrong: string[] = [];
  for (const service of services) {
    const rowIn = ({ rows }: Played["dry"]) => rows?.find(({ workload }) => workload === `swarm/${service}`);
    const [dry, after] = [rowIn(played.dry), rowIn(played.after)];
    const told = (row: DriftRow | undefined) =>
      `${service} runs ${nameOf(digestIn(row?.running))}, ${nameOf(row?.wanted)} is wanted, and it is ${row?.verdict}: ${row?.reason}`;
    if (!(await isExplained(played, service, after))) wrong.push(told(after));
    if (dry?.verdict === "missed" && !(await mayBeMissed(played, script, service, dry))) {
      wrong.push(`before the last full run ${told(dry)}`);
    }
    wrong.push(...(await runsWell(played, service)));
  }
  return wrong;
}

async function isExplained(
  { here, hands }: Played,
  service: Service,
  row: DriftRow | undefined,
): Promise<boolean> {
  if (row === undefined) return false;
  const document = (await here.ledger.get("workloads", row.workload))?.value;
  const running = digestIn(row.running);
  switch (row.verdict) {
    case "in-sync":
      return running === row.wanted;
    case "changed-outside": {
      const lastWrite = here.target.writes.findLastIndex(({ workload }) => workload === row.workload);
      return hands.some((hand) => hand.service === service && hand.at > lastWrite);
    }
    case "new":
      return document?.deployed === undefined;
    case "skipped": {
      const [reason = ""] = (row.reason ?? "").split(":");
      switch (reason) {
        case "held": {
          const repository = service === "web" ? "docker.io/acme/web" : app;
          const image = (await here.ledger.get("images", repository))?.value;
          const holds = [...(document?.holds ?? []), ...(image?.holds ?? [])];
          return holds.some(({ digest }) => digest === row.wanted);
        }
        case "pinned-by-person":
          return document?.pin !== undefined;
        case "paused":
          return document?.pause !== undefined || here.target.labelsOf(service)["landfall.pause"] === "true";
        case "fighting":
          return (document?.repairs ?? []).length >= 3;
        case "other-tag":
          return service === "web" && !row.running.includes(":v1@");
        default:
          return false;
      }
    }
    default:
      return false;
  }
}

/** Nobody reported the push, what was tried failed by its environment, or nobody could be asked when it was to be. */
async function mayBeMissed(
  { here, isUnheard }: Played,
  { acts }: Script,
  service: Service,
  row: DriftRow,
): Promise<boolean> {
  if (service === "web" && isUnheard) return true;
  // A push that was heard of before a pin, and looked at after it, lifts that with the next full run.
  const isPinned = acts.some(({ act }) => "until" in act && act.service === service && act.until === "next");
  if (service === "web" && isPinned) return true;
  if (acts.some(({ act }) => act.kind === "target" && act.away)) return true;
  // What is released while it is being undone is brought by the next full run.
  if (acts.some(({ act }) => act.kind === "release" && act.service === service)) return true;
  const rollouts = await here.ledger.rollouts({ workload: row.workload }, 100);
  const last = rollouts.find(({ value }) =>
    Object.values(value.to).some(({ digest }) => digest === row.wanted),
  );
  return last?.value.blame === "environment";
}

/** What failed by its own fault runs only where somebody put it, or nothing else was ever good. */
async function runsWell({ here, hands }: Played, service: Service): Promise<readonly string[]> {
  const id = `swarm/${service}` as const;
  const running = digestIn(here.target.imageOf(service));
  if (!isBad(running)) return [];
  const lastWrite = here.target.writes.findLastIndex(({ workload }) => workload === id);
  if (hands.some((hand) => hand.service === service && hand.at > lastWrite)) return [];
  const { seq } = here.target.writes[lastWrite] ?? {};
  const rollout = (await here.ledger.get("rollouts", `${id}/${seq}`))?.value;
  if (rollout?.state === "rollback-unavailable" || rollout?.cause.kind === "rollback") return [];
  return [`${service} runs ${nameOf(running)}, by a rollout that is ${rollout?.state}: ${rollout?.reason}`];
}
