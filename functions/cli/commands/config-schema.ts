import { configJsonSchema } from "../../../shared/config/schema.ts";
import type { Command } from "../command.ts";

export const configSchema: Command = {
  name: "config schema",
  summary: "print the JSON Schema of the configuration file",
  parameters: "",
  maxArguments: 0,
  options: {},
  help: `The schema has exactly the keys that act in this version, each with a description. Editors that know it complete
and check landfall.yaml while it is written.`,
  examples: [
    [
      "config schema > landfall.schema.json",
      "then begin landfall.yaml with `# yaml-language-server: $schema=landfall.schema.json`",
    ],
  ],
  async run() {
    const schema = configJsonSchema();
    return { kind: "done", text: JSON.stringify(schema, undefined, 2), json: schema };
  },
};
