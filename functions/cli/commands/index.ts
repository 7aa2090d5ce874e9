import type { Command } from "../command.ts";
import { configCheck } from "./config-check.ts";
import { configSchema } from "./config-schema.ts";
import { drift } from "./drift.ts";
import { explain } from "./explain.ts";
import { ledger } from "./ledger.ts";
import { list } from "./list.ts";
import { promote } from "./promote.ts";
import { publish } from "./publish.ts";
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
];
