import { describe, expect, it } from "vitest";
import { systemClock } from "../../shared/clock.ts";
import type { FirestoreClient } from "../../shared/ledger/firestore/wire.ts";
import { firestoreLedger } from "../../shared/ledger/firestore.ts";
import type { Write } from "../../shared/ledger/ledger.ts";
import { refDocument } from "../contracts/documents.ts";
import { manualClock } from "../doubles/manual-clock.ts";

const write: Write = { collection: "refs", id: "r", value: refDocument(), expect: 0 };
const conflict = { kind: "conflict", collection: "refs", id: "r" };
const unavailable = { code: "LEDGER_UNAVAILABLE", retryable: true };

describe("a failed call to Firestore", () => {
  it.each([
    {
      code: 7,
      said: "PERMISSION_DENIED: Missing or insufficient permissions.",
      advice: "roles/datastore.user",
    },
    { code: 16, said: "UNAUTHENTICATED: invalid authentication credentials", advice: "credentials" },
    {
      code: 5,
      said: "NOT_FOUND: The database (default) does not exist for project acme Please visit https://…",
      advice: "LANDFALL_LEDGER=firestore:PROJECT/DATABASE",
    },
    {
      code: 9,
      said: "FAILED_PRECONDITION: The query requires an index. You can create it here: https://…",
      advice: "infra/firestore.indexes.json",
    },
    {
      code: undefined,
      said: "Could not load the default credentials.",
      advice: "gcloud auth application-default",
    },
  ])("says what a person has to do about $said", async ({ code, said, advice }) => {
    const ledger = failing(failure(code, said));
    const denied = { code: "LEDGER_DENIED", retryable: true, message: expect.stringContaining(said) };
    await expect(ledger.get("refs", "r")).rejects.toMatchObject(denied);
    await expect(ledger.due(1, 1)).rejects.toMatchObject({ message: expect.stringContaining(advice) });
  });

  it.each([
    { code: 5, said: "The database (default) does not exist for project acme" },
    { code: 9, said: "The Cloud Firestore API is not available for Firestore in Datastore Mode database" },
  ])("is no conflict when the database is not there: $said", async ({ code, said }) => {
    await expect(failing(failure(code, said)).commit("w", [write])).rejects.toMatchObject({
      code: "LEDGER_DENIED",
    });
  });

  it.each([
    { code: 5, said: "NOT_FOUND: No document to update" },
    {
      code: 6,
      said: "ALREADY_EXISTS: Document already exists: projects/p/databases/(default)/documents/refs/r",
    },
    { code: 9, said: "FAILED_PRECONDITION: the stored version does not match the required base version" },
  ])("is a conflict when a document is not as expected: $said", async ({ code, said }) => {
    const calls: string[] = [];
    expect(await failing(failure(code, said), calls).commit("w", [write])).toEqual(conflict);
    expect(calls).toEqual(["commit"]);
  });

  it.each([1, 2, 4, 8, 10, 13, 14, undefined])("with code %s can be tried again", async (code) => {
    const ledger = failing(failure(code, "something went wrong"));
    await expect(ledger.get("refs", "r")).rejects.toMatchObject(unavailable);
    await expect(ledger.commit("w", [write])).rejects.toMatchObject(unavailable);
    await expect(ledger.underWay("swarm")).rejects.toMatchObject(unavailable);
  });

  it("that is a mistake of ours stays what it is", async () => {
    await expect(failing(failure(3, "INVALID_ARGUMENT: bad")).get("refs", "r")).rejects.toMatchObject({
      code: 3,
    });
    await expect(failing(new TypeError("not a function")).get("refs", "r")).rejects.toThrow(TypeError);
  });

  it("over Firestore's own limit is the document's size", async () => {
    const said =
      "INVALID_ARGUMENT: Document cannot be written because its size (1,048,587 bytes) exceeds the maximum allowed size of 1,048,576 bytes.";
    await expect(failing(failure(3, said)).commit("w", [write])).rejects.toMatchObject({
      code: "DOCUMENT_TOO_LARGE",
    });
  });
});

describe("a call to Firestore", () => {
  it.each([8, 10, 13, 14])("is repeated when it read and got code %i", async (code) => {
    const calls: string[] = [];
    await expect(failing(failure(code, "…"), calls).get("refs", "r")).rejects.toMatchObject(unavailable);
    expect(calls).toEqual(["read", "read", "read", "read"]);
  });

  it.each([
    { code: 10, times: 4 },
    { code: 14, times: 1 },
    { code: 4, times: 1 },
    { code: 13, times: 1 },
  ])(
    "that writes and gets code $code is made $times times: only of ABORTED it is known that nothing was written",
    async ({ code, times }) => {
      const calls: string[] = [];
      await expect(failing(failure(code, "…"), calls).commit("w", [write])).rejects.toMatchObject(
        unavailable,
      );
      expect(calls).toHaveLength(times);
    },
  );

  it("ends after 10 s when nothing comes back, also before there is a connection", async () => {
    const clock = manualClock();
    const never = new Promise<never>(() => {});
    for (const open of [() => never, async () => client(() => never)]) {
      const ledger = firestoreLedger({ clock, open });
      const outcomes = [ledger.get("refs", "r"), ledger.commit("w", [write]), ledger.due(0, 1)];
      const settled = Promise.allSettled(outcomes);
      await clock.advance(9_999);
      expect(await Promise.race([settled, "under way"])).toBe("under way");
      await clock.advance(1);
      for (const each of await settled)
        expect(each).toMatchObject({ status: "rejected", reason: unavailable });
    }
  });

  it("opens the connection anew after it could not be opened", async () => {
    let tries = 0;
    const open = async () => {
      if (++tries === 1) throw failure(undefined, "metadata server is away");
      return client(async () => ({ documents: [undefined], atMs: undefined }));
    };
    const ledger = firestoreLedger({ clock: systemClock, open });
    await expect(ledger.get("refs", "r")).rejects.toMatchObject(unavailable);
    expect(await ledger.get("refs", "r")).toBeUndefined();
    expect(await ledger.get("refs", "r")).toBeUndefined();
    expect(tries).toBe(2);
  });

  it("is refused once the ledger is closed, and a ledger that was never used is closed without a connection", async () => {
    let opened = 0;
    const ledger = firestoreLedger({
      clock: systemClock,
      open: async () => {
        opened++;
        return client(async () => ({}));
      },
    });
    await ledger.close();
    await ledger.close();
    await expect(ledger.get("refs", "r")).rejects.toMatchObject(unavailable);
    expect(opened).toBe(0);
  });
});

it("refuses a document that Landfall did not write, and says what to do", async () => {
  const found = {
    path: "workloads/x",
    fields: { name: { stringValue: "x" } },
    version: { seconds: "1", nanos: 0 },
  };
  const ledger = firestoreLedger({
    clock: systemClock,
    open: async () => client(async () => ({ documents: [found], atMs: undefined })),
  });
  await expect(ledger.workloads()).rejects.toMatchObject({
    code: "LEDGER_DENIED",
    message: expect.stringContaining("a database of its own"),
  });
});

function failure(code: number | undefined, said: string): Error {
  return Object.assign(new Error(said), code === undefined ? {} : { code });
}

/** Every call is answered alike. */
function client(answer: (call: string) => Promise<unknown>): FirestoreClient {
  const as = (call: string) => () => answer(call);
  const calls = { read: as("read"), commit: as("commit"), query: as("query"), count: as("count") };
  return { ...calls, close: async () => {} } as unknown as FirestoreClient;
}

function failing(error: Error, calls: string[] = []) {
  // Pauses are over at once; a deadline never comes.
  const clock = {
    ...systemClock,
    sleep: (ms: number) => (ms < 1_000 ? Promise.resolve() : new Promise<void>(() => {})),
  };
  const open = async () =>
    client(async (call) => {
      calls.push(call);
      throw error;
    });
  return firestoreLedger({ clock, open });
}
