import { setTimeout as pause } from "node:timers/promises";
import { expect, type TestContext } from "vitest";
import type { Digest } from "../../shared/domain/reference.ts";
import type { DriftRow, ReportDocument } from "../../shared/ledger/report-document.ts";
import { dockerhubDelivery } from "../deliveries.ts";
import { noticeReceiver } from "../doubles/notice-receiver.ts";
import { type Landfall, startLandfall } from "./landfall.ts";
import { testbed } from "./testbed.ts";

const bed = testbed();
const hookSecret = "a-secret-that-docker-hub-knows";
const token = "a-token-of-the-scheduler";
const noticeKey = `whsec_${Buffer.alloc(32, 1).toString("base64")}`;
let repositories = 0;

/** What a full run answers. */
export interface Report extends Omit<ReportDocument, "chunks" | "expireMs" | "rows"> {
  /** Id of the report in the ledger. */
  readonly report: string;
  readonly rows: readonly DriftRow[];
}

/** What people were told, as the webhook of a test received it. */
export interface Told {
  readonly type: string;
  readonly data: {
    readonly notices: readonly {
      readonly subject: string;
      readonly sentence: string;
      readonly next?: string;
    }[];
  };
}

/** A Landfall that is asked to reconcile, and whose notices are read. */
export interface Reconciled extends Landfall {
  /** A full run as Cloud Scheduler asks for it, once nothing is open any more. */
  full(order?: object): Promise<Report>;
  smartRedeploy(): Promise<Report>;
  /** Reports a push of the repository's tag as Docker Hub does. */
  hear(repository: TestRepository, tag: string): Promise<string>;
  /** Sweeps until so many messages of the kind are told, then once more; all of them. */
  told(kind: string, count: number): Promise<readonly Told[]>;
}

/** A repository of one test in the open registry. */
export interface TestRepository {
  /** With its host. */
  readonly name: `${string}/${string}`;
  /** Without its host. */
  readonly path: string;
  /** Pushes another image than ever before; without telling anybody. */
  push(tag: string): Promise<Digest>;
  /** Deletes a manifest: its tags name nothing then. */
  remove(digest: Digest): Promise<void>;
}

/** @param prefix of its name below `e2e-drift` */
export function testRepository(prefix: string): TestRepository {
  const path = `e2e-drift/${prefix}${Date.now().toString(36)}-${++repositories}`;
  let images = 0;
  return {
    name: `${bed.registry}/${path}`,
    path,
    push: (tag) => bed.pushImage(path, tag, { labels: { image: `${path} ${++images}` } }),
    remove: (digest) => bed.deleteManifest(path, digest),
  };
}

export interface ReconciledOptions {
  /** What may be deployed. */
  readonly follow: readonly Pick<TestRepository, "name">[];
  /** A target of the configuration, without its name, which is `prod`. */
  readonly target: object;
  /** Keys of the configuration, in place of the usual ones. */
  readonly config?: object;
  /** Variables that the configuration names. */
  readonly env?: Readonly<Record<string, string>> | undefined;
}

/** Ends with that test. */
export async function startReconciled(
  { onTestFinished }: Pick<TestContext, "onTestFinished">,
  options: ReconciledOptions,
): Promise<Reconciled> {
  const { follow, target, config = {}, env = {} } = options;
  const receiver = await noticeReceiver();
  onTestFinished(() => receiver.close());
  const landfall = await startLandfall({
    env: { TIMER_TOKEN: token, OPS_URL: receiver.url, NOTIFY_SECRET: noticeKey, ...env },
    config: {
      follow: follow.map(({ name }) => name),
      webhooks: [{ source: "dockerhub", secrets: [hookSecret], hostAliases: { "docker.io": bed.registry } }],
      registries: [{ host: bed.registry, plainHttp: true }],
      targets: [{ name: "prod", ...target }],
      defaults: { verify: { timeout: "1m", stableFor: "1s" }, maxParallel: 8 },
      notify: [{ kind: "webhook", url: "${OPS_URL}", secret: "${NOTIFY_SECRET}" }],
      reconcile: { auth: [{ kind: "bearer", token: "${TIMER_TOKEN}" }] },
      ...config,
    },
  });
  onTestFinished(() => landfall.remove());

  const post = async (path: string, body: object): Promise<unknown> => {
    const answer = await fetch(`${landfall.url}${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(90_000),
    });
    const text = await answer.text();
    if (answer.status !== 200) throw new Error(`${path} was answered ${answer.status} ${text}`);
    return JSON.parse(text);
  };
  const sweep = () => post("/reconcile", { mode: "sweep" });
  const told = (kind: string) =>
    receiver.accepted
      .map(({ body }) => JSON.parse(body) as Told)
      .filter(({ type }) => type === `landfall.notice.${kind}`);

  return {
    ...landfall,
    full: async (order = {}) => (await post("/reconcile", { mode: "full", ...order })) as Report,
    smartRedeploy: async () => (await post("/SmartRedeploy", {})) as Report,
    hear: ({ path }, tag) => landfall.deliver(dockerhubDelivery(hookSecret, { repository: path, tag })),
    async told(kind, count) {
      for (const deadline = Date.now() + 60_000; told(kind).length < count; await pause(200)) {
        if (Date.now() > deadline) {
          throw new Error(`${told(kind).length} of ${count} were told of ${kind}:\n${landfall.log()}`);
        }
        await sweep();
      }
      await sweep();
      return told(kind);
    },
  };
}

/** A dry run finds what the run after it acts upon. */
export function expectSameRows(dry: Report, run: Report): void {
  const found = ({ rows }: Report) => rows.map(({ seq: _, ...row }) => row);
  expect(dry.rows.filter(({ seq }) => seq !== undefined)).toEqual([]);
  expect(found(dry)).toEqual(found(run));
}

/** Of `name:tag@digest`. */
export function digestIn(image: string): string {
  return image.replace(/^.*@/, "");
}
