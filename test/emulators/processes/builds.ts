import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { cloudEvent } from "@google-cloud/functions-framework";
import { getTestServer } from "@google-cloud/functions-framework/testing";
import { createBuilds } from "../../../functions/builds.ts";
import { deployedContext } from "../../../functions/wiring/context.ts";
import { wireFlows } from "../../../functions/wiring/flows.ts";
import { faultyLedger } from "../../doubles/faulty-ledger.ts";
import { firestoreProject, watched } from "../firestore-emulator.ts";
import type { Spent } from "../fleet.ts";

// Forked: one instance of the builds function, as it is deployed but for a ledger that counts. It says its port, then
// answers each message with what it has spent since the one before.
const context = deployedContext(new AbortController().signal);
const { ledger: where } = context.settings;
if (where.kind !== "firestore") throw new Error("what is counted here are the calls of Firestore");
const watch = watched();
const ledger = faultyLedger(firestoreProject(where.projectId).ledger(watch));
const wiring = wireFlows({ ...context, ledger: () => ledger });
cloudEvent(
  "builds",
  createBuilds(() => wiring),
);

process.on("message", () => {
  const { commits, conflicts } = ledger.counts;
  const { reads, writes, deletes } = watch.spent();
  const commitsMs = watch.tookMs.commit.splice(0);
  ledger.reset();
  process.send?.({
    commits,
    conflicts,
    reads,
    writes: writes + deletes,
    disturbed: watch.disturbed.splice(0),
    commitsMs,
  } satisfies Spent);
});

const server = getTestServer("builds").listen(0, "127.0.0.1");
await once(server, "listening");
process.send?.((server.address() as AddressInfo).port);
