import type { Command } from "../command.ts";
import { accept } from "./accept.ts";
import { configCheck } from "./config-check.ts";
import { configSchema } from "./config-schema.ts";
import { deploy } from "./deploy.ts";
import { drift } from "./drift.ts";
import { explain } from "./explain.ts";
import { hold } from "./hold.ts";
import { ledger } from "./ledger.ts";
import { list } from "./list.ts";
import { pause } from "./pause.ts";
import { promote } from "./promote.ts";
import { publish } from "./publish.ts";
import { reconcile } from "./reconcile.ts";
import { release } from "./release.ts";
import { replay } from "./replay.ts";
import { resume } from "./resume.ts";
import { rollback } from "./rollback.ts";
import { status } from "./status.ts";

/** Every command, in the order of the help. */
export const commands: readonly Command[] = [
  status,
  explain,
  list,
  ledger,
  drift,
  configCheck,
  configSchema,
  publish,
  promote,
  deploy,
  rollback,
  hold,
  release,
  pause,
  resume,
  replay,
  accept,
  reconcile,
];
