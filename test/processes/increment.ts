import { systemClock } from "../../shared/clock.ts";
import { embeddedLedger } from "../../shared/ledger/embedded.ts";
import { increment } from "../contracts/increment.ts";

// node increment.ts FILE TIMES: adds one to the generation of the ref `counter`, TIMES times; a line after each.
const [, , file = "", times = "0"] = process.argv;
const ledger = embeddedLedger(file, systemClock);
for (let n = 0; n < Number(times); n++) {
  await increment(ledger, "counter", `${process.pid}-${n}`);
  process.stdout.write(`${n}\n`);
}
await ledger.close();
