import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { expect, vi } from "vitest";
import { parse } from "yaml";
import { sandboxConfig } from "../../functions/local/sandbox/first-rollout.ts";
import { startSandbox } from "../../functions/local/sandbox/sandbox.ts";
import { systemClock } from "../../shared/clock.ts";
import type { Digest } from "../../shared/domain/reference.ts";
import { buildAll, install } from "../bundles/built.ts";
import { distributionDelivery } from "../deliveries.ts";
import { type FaultyLine, faultyLine } from "../doubles/faulty-line.ts";
import { type BuiltLandfall, startBuiltLandfall } from "./built-landfall.ts";
import { firestoreProject } from "./firestore-emulator.ts";

/** What a test waits for that others decide on. */
export const patient = { timeout: 120_000, interval: 200 };
/** How long such a test may take, ms. */
export const testMs = 200_000;

const hookSecret = "a-secret-that-the-registry-knows";

interface Push {
  readonly digest: Digest;
  readonly event: string;
}

/** One delivery of a message to builds, and what builds answered; `gone`: nobody did. */
interface Delivered {
  readonly data: string;
  readonly status: number | "gone";
}

/** The built functions over a sandbox of their own, with somebody before builds who writes down every delivery. */
export interface WatchedLandfall {
  readonly landfall: BuiltLandfall;
  /** The way from builds to Firestore; everybody else has another one. */
  readonly line: FaultyLine;
  /** Pushes, and reports it as the registry does. */
  push(): Promise<Push>;
  /** What builds answered to each delivery of messages with these words in them. */
  statusesOf(words: string): readonly Delivered["status"][];
  untilVerifying(): Promise<void>;
  /** Every service runs it by one rollout each, the event is done, and nothing is left. */
  expectRolledOut(push: Push, meanwhile?: () => Promise<void>): Promise<void>;
  remove(): Promise<void>;
}

export async function watchedLandfall(): Promise<WatchedLandfall> {
  const built = await buildAll();
  await install(built);
  const sandbox = await startSandbox({ clock: systemClock, registryPort: 0, notify: () => undefined });
  const line = await faultyLine(firestoreProject().host);
  const delivered: Delivered[] = [];
  const front = createServer(async (request, response) => {
    const body = await buffer(request);
    const { message } = JSON.parse(body.toString()) as { readonly message: { readonly data?: string } };
    const data = Buffer.from(message.data ?? "", "base64").toString();
    const headers = { "content-type": "application/json" };
    const status = await fetch(`${landfall.builds.origin}${request.url}`, {
      method: "POST",
      headers,
      body,
    }).then(
      (answer) => answer.status,
      () => "gone" as const,
    );
    delivered.push({ data, status });
    response.writeHead(status === "gone" ? 502 : status).end();
  }).listen(0, "127.0.0.1");
  await once(front, "listening");
  const config = parse(sandboxConfig(sandbox, hookSecret));
  const landfall = await startBuiltLandfall({
    built,
    config,
    builds: {
      config,
      env: { FIRESTORE_EMULATOR_HOST: line.host },
      calledThrough: `http://127.0.0.1:${(front.address() as AddressInfo).port}`,
    },
  });
  const { ledger } = landfall;

  return {
    landfall,
    line,
    async push() {
      const digest = sandbox.push();
      const [repository = "", tag = ""] = sandbox.image.split(":");
      const { path, headers, body } = distributionDelivery(hookSecret, [
        { host: sandbox.registryHost, repository, tag, digest },
      ]);
      const answer = await fetch(`${landfall.webhook.origin}${path}`, { method: "POST", headers, body });
      expect(answer.status).toBe(202);
      return { digest, event: ((await answer.json()) as { readonly event: string }).event };
    },
    statusesOf: (words) => delivered.filter(({ data }) => data.includes(words)).map(({ status }) => status),
    async untilVerifying() {
      await vi.waitFor(async () => {
        const open = (await ledger.workloads()).flatMap(({ value }) => value.open ?? []);
        expect(open.map(({ state }) => state)).toContain("verifying");
      }, patient);
    },
    async expectRolledOut({ digest, event }, meanwhile = async () => {}) {
      await vi.waitFor(async () => {
        await meanwhile();
        expect(await ledger.due(Number.MAX_SAFE_INTEGER, 10), landfall.log()).toEqual([]);
        expect(await ledger.get("events", event)).toMatchObject({
          value: { state: "done", outcome: "observed" },
        });
      }, patient);
      const deployed = (await ledger.workloads()).flatMap(({ value }) => Object.values(value.deployed ?? {}));
      expect(deployed).toEqual(Array.from({ length: sandbox.services }, () => digest));
      const rollouts = (await ledger.rollouts({}, 100)).map(({ value }) => value);
      const states = rollouts
        .filter(({ to }) => JSON.stringify(to).includes(digest))
        .map(({ state }) => state);
      expect(states).toEqual(Array.from({ length: sandbox.services }, () => "succeeded"));
    },
    async remove() {
      await landfall.remove();
      front.close();
      front.closeAllConnections();
      await line.close();
      await sandbox.stop();
      await built.remove();
    },
  };
}
