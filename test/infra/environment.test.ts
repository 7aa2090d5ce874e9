import { join } from "node:path";
import { expect, it } from "vitest";
import { environment } from "../../shared/config/load.ts";
import { isObject, readModule } from "./module.ts";

const { locals } = await readModule(join(import.meta.dirname, "../../infra"));

/** What Terraform puts in for the expressions that the environment is written with. */
const known: Readonly<Record<string, string>> = {
  "var.project_id": "acme-deploy",
  "var.firestore_database": "(default)",
  "google_pubsub_topic.landfall.id": "projects/acme-deploy/topics/landfall",
  "local.config_mount": String(locals.config_mount),
};

it("gives functions an environment that they take, and in which they find one ledger and one topic", () => {
  expect(isObject(locals.environment)).toBe(true);
  const env = Object.fromEntries(
    Object.entries(isObject(locals.environment) ? locals.environment : {}).map(([name, text]) => [
      name,
      String(text).replaceAll(/\$\{([^}]+)\}/g, (_, expression: string) => known[expression] ?? "unknown"),
    ]),
  );
  expect(environment(env)).toMatchObject({
    config: "/etc/landfall/landfall.yaml",
    ledger: { kind: "firestore", projectId: "acme-deploy", databaseId: "(default)" },
    bus: { kind: "pubsub", topic: { project: "acme-deploy", id: "landfall" } },
  });
});
