import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../shared/clock.ts";
import { type EmbeddedStore, openEmbedded } from "../../shared/embedded-store.ts";
import { embeddedLedger } from "../../shared/ledger/embedded.ts";
import { refDocument } from "../contracts/documents.ts";
import type { Report, Row } from "./report.ts";
import { medianOf, spreadOf } from "./spread.ts";

const rounds = 15;
const callsARound = 60;
const id = "docker.io/acme/web:v1";
const value = refDocument({ earlier: Array.from({ length: 5 }, () => `sha256:${"a".repeat(64)}` as const) });

/** A call that is timed in rounds, µs a call. */
interface Timed {
  readonly name: string;
  readonly us: number[];
  act(): unknown;
}

/** The embedded ledger's reads and commits, beside the least that SQLite and the disk do for the same bytes. */
export async function measureLedger(folder: string): Promise<Report> {
  const stores = [openEmbedded(":memory:"), openEmbedded(join(folder, "ledger.db"))] as const;
  const [memory, file] = [callsOf(stores[0]), callsOf(stores[1])];
  const log = openSync(join(folder, "appended"), "a");
  const bytes = Buffer.from(JSON.stringify(value));
  const append = () => {
    writeSync(log, bytes);
    fdatasyncSync(log);
  };
  const timed = (name: string, act: () => unknown): Timed => ({ name, us: [], act });
  const all = {
    commitMemory: timed("commit", memory.commit),
    commitFile: timed("commit", file.commit),
    append: timed("append + fdatasync", append),
    get: timed("get", memory.get),
    getFile: timed("get", file.get),
    select: timed("bare SELECT", file.select),
  };
  for (let round = 0; round <= rounds; round++) {
    for (const each of Object.values(all)) {
      const startedMs = performance.now();
      for (let call = 0; call < callsARound; call++) await each.act();
      if (round > 0) each.us.push((1_000 * (performance.now() - startedMs)) / callsARound);
    }
  }
  closeSync(log);
  for (const store of stores) store.close();
  return {
    rows: [
      row("ledger: get (memory)", all.get, all.select),
      row("ledger: get (file)", all.getFile, all.select),
      row("ledger: commit (memory)", all.commitMemory, all.select),
      row("ledger: commit (file, on disk)", all.commitFile, all.append),
    ],
    notes: [],
  };
}

function callsOf(store: EmbeddedStore) {
  const ledger = embeddedLedger(store, systemClock);
  const select = store.database.prepare("SELECT data FROM documents WHERE collection = 'refs' AND id = ?");
  let rev = 0;
  return {
    get: () => ledger.get("refs", id),
    select: () => select.get(id),
    commit: async () => {
      const { kind } = await ledger.commit("bench", [{ collection: "refs", id, value, expect: rev++ }]);
      if (kind !== "committed") throw new Error("somebody else writes to the ledger of the bench");
    },
  };
}

function row(what: string, ours: Timed, other: Timed): Row {
  const ratios = ours.us.map((us, round) => us / (other.us[round] ?? Number.NaN));
  return {
    what,
    ours: medianOf(ours.us),
    unit: "µs",
    beside: { name: other.name, value: medianOf(other.us) },
    compared: { as: "ratio", value: medianOf(ratios), spread: spreadOf(ratios) },
  };
}
