import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "@cdktf/hcl2json";
import { describe, expect, it } from "vitest";
import * as z from "zod/mini";
import { amended } from "./infra/amendments.ts";
import { checkReferences } from "./infra/check-references.ts";
import { checkSchema } from "./infra/check-schema.ts";
import { functionsOf, type Grant, grantsOf } from "./infra/grants.ts";
import { type Resource, readModule } from "./infra/module.ts";
import type { ProviderSchema } from "./infra/schema.ts";

const root = join(import.meta.dirname, "..");
const fixture: ProviderSchema = JSON.parse(
  readFileSync(join(root, "test/fixtures/google-provider-schema.json"), "utf8"),
);
const schema = amended(fixture);
const infra = await readModule(join(root, "infra"));

function resource(type: string, name: string): Resource["body"] {
  const found = infra.resources.find((each) => each.type === type && each.name === name);
  if (found === undefined) throw new Error(`infra/ has no ${type}.${name}`);
  return found.body;
}

describe("the Terraform files", () => {
  it("hold only what the provider's schema knows, with all that it requires", () => {
    expect(infra.resources.length).toBeGreaterThan(40);
    expect(checkSchema(infra, schema)).toEqual([]);
  });

  it("refer only to what is declared, and declare nothing that is unused", () => {
    expect(checkReferences(infra, schema)).toEqual([]);
  });

  it("use every type of the schema's fixture", () => {
    const used = (list: readonly Resource[]) => [...new Set(list.map(({ type }) => type))].sort();
    expect(Object.keys(fixture.resources)).toEqual(used(infra.resources));
    expect(Object.keys(fixture.data)).toEqual(used(infra.data));
  });

  it("name the project of everything that takes one, so that no provider block is needed", () => {
    const without = infra.resources.filter(
      ({ type, body }) =>
        schema.resources[type]?.arguments.project !== undefined && body.project === undefined,
    );
    expect(without.map(({ type, name }) => `${type}.${name}`)).toEqual([]);
  });

  it("describe every variable with its type, and every output", () => {
    expect(infra.variables.length).toBeGreaterThan(5);
    expect(infra.variables.filter(({ body }) => !body.description || !body.type)).toEqual([]);
    expect(infra.outputs.filter(({ body }) => !body.description)).toEqual([]);
  });

  it("are documented: each variable and output has its row in infra/README.md", () => {
    const readme = readFileSync(join(root, "infra/README.md"), "utf8");
    const rows = [...readme.matchAll(/^\| `(\w+)` +\|/gm)].map(([, name]) => name).sort();
    expect(rows).toEqual([...infra.variables, ...infra.outputs].map(({ name }) => name).sort());
  });

  it.each(["infra/README.md", "docs/deploying.md"])("take the variables that %s sets", async (page) => {
    const text = readFileSync(join(root, page), "utf8");
    const [, example = ""] = /```hcl\n(project_id[\s\S]*?)```/.exec(text) ?? [];
    const set = Object.keys(await parse("terraform.tfvars", example));
    const required = infra.variables.filter(({ body }) => body.default === undefined).map(({ name }) => name);
    expect(required).toEqual(["config_file", "project_id", "region"]);
    expect(set).toEqual(expect.arrayContaining(required));
    expect(infra.variables.map(({ name }) => name)).toEqual(expect.arrayContaining(set));
  });
});

describe("who may do what", () => {
  const grants = grantsOf(infra);
  const of = (name: string) =>
    grants
      .filter(({ to }) => to === name)
      .map(({ role, on }) => `${role} on ${on}`)
      .sort();
  const secrets = "roles/secretmanager.secretAccessor on google_secret_manager_secret.config";
  const publishes = "roles/pubsub.publisher on google_pubsub_topic.landfall";

  it.each<{ readonly account: string; readonly may: readonly string[] }>([
    { account: "webhook", may: [publishes, secrets] },
    {
      account: "builds",
      may: [
        "roles/datastore.user on project",
        "roles/pubsub.publisher on google_pubsub_topic.dead_letter",
        publishes,
        secrets,
      ],
    },
    { account: "reconcile", may: ["roles/datastore.user on project", publishes, secrets] },
    {
      account: "gke",
      may: [
        "${google_project_iam_custom_role.gke[each.value.project].name} on project",
        "roles/gkehub.gatewayEditor on project",
      ],
    },
    { account: "readers", may: ["roles/secretmanager.secretAccessor on google_secret_manager_secret.file"] },
    { account: "push", may: ["roles/run.invoker on function builds"] },
    { account: "scheduler", may: ["roles/run.invoker on function reconcile"] },
    { account: "allUsers", may: ["roles/run.invoker on function webhook"] },
    {
      account: "pubsub_agent",
      may: [
        "roles/pubsub.publisher on google_pubsub_topic.dead_letter",
        "roles/pubsub.subscriber on google_pubsub_subscription.builds",
      ],
    },
    {
      account: "build",
      may: [
        "roles/artifactregistry.writer on google_artifact_registry_repository.functions",
        "roles/logging.logWriter on project",
        "roles/storage.objectViewer on google_storage_bucket.artifacts",
        "roles/storage.objectViewer on project",
      ],
    },
    {
      account: "operators",
      may: ["roles/datastore.viewer on project", "roles/pubsub.publisher on google_pubsub_topic.commands"],
    },
  ])("gives $account these roles and no other", ({ account, may }) => {
    expect(of(account)).toEqual(may);
  });

  it("gives roles to nobody else", () => {
    expect([...new Set(grants.map(({ to }: Grant) => to))].sort()).toEqual([
      "allUsers",
      "build",
      "builds",
      "gke",
      "operators",
      "pubsub_agent",
      "push",
      "readers",
      "reconcile",
      "scheduler",
      "webhook",
    ]);
  });

  it("lets builds and reconcile, and only if asked, reach clusters and nothing of what is in them", () => {
    expect(resource("google_project_iam_custom_role", "gke")).toMatchObject({
      for_each: "${var.gke.projects}",
      permissions: ["container.clusters.connect", "container.clusters.get"],
    });
    for (const name of ["gke_accounts", "gke_gateways"]) {
      expect(infra.locals[name]).toMatch(/setproduct\(var\.gke\.\w+, \["builds", "reconcile"\]\)/);
    }
    expect(infra.variables.find(({ name }) => name === "gke")?.body.default).toEqual({});
  });

  it("lets the build read, of the project's buckets, only those with functions' sources", () => {
    const [condition] = Object.values(
      resource("google_project_iam_member", "build_reads_copies").condition ?? [],
    );
    expect(condition).toMatchObject({
      expression: expect.stringMatching(
        /^resource\.name\.startsWith\("projects\/_\/buckets\/gcf-v2-sources-/,
      ),
    });
  });

  it("lets the internet reach webhook alone", () => {
    expect(functionsOf(infra)).toEqual(["builds", "reconcile", "webhook"]);
    expect(infra.locals.functions).toMatchObject({
      webhook: { ingress: "ALLOW_ALL" },
      builds: { ingress: "ALLOW_INTERNAL_ONLY" },
      reconcile: { ingress: "ALLOW_INTERNAL_ONLY" },
    });
    expect(functionConfig()).toMatchObject({
      service_config: [{ ingress_settings: "${each.value.ingress}" }],
    });
  });
});

function functionConfig() {
  return resource("google_cloudfunctions2_function", "function");
}

describe("what is deployed", () => {
  const Limits = z.object({ memory: z.string(), concurrency: z.int(), timeout_seconds: z.int() });
  const limits = z.record(z.string(), Limits).parse(infra.locals.functions);

  it("runs each function as an account of its own, on Node 24, from an object whose name changes with the zip", () => {
    expect(functionConfig()).toMatchObject({
      for_each: "${local.functions}",
      build_config: [{ runtime: "nodejs24", entry_point: "${each.key}" }],
      service_config: [
        { service_account_email: "${google_service_account.function[each.key].email}", available_cpu: "1" },
      ],
    });
    expect(resource("google_storage_bucket_object", "artifact").name).toMatch(
      /filesha256\(.*each\.key.*\.zip/,
    );
  });

  it("gives webhook memory for as many of the largest bodies as it takes at once", () => {
    const { memory, concurrency } = limits.webhook ?? { memory: "", concurrency: Number.POSITIVE_INFINITY };
    const maxBodyMib = 2;
    const framework = 70;
    expect(Number(/^(\d+)Mi$/.exec(memory)?.[1])).toBeGreaterThan(concurrency * maxBodyMib * 3 + framework);
  });

  it("mounts secrets and the configuration as files, and puts none into variables", () => {
    const text = JSON.stringify(functionConfig());
    expect(text).not.toContain("secret_environment_variables");
    expect(text.match(/"version":"latest"/g)).toHaveLength(2);
    expect(infra.locals.environment).toMatchObject({
      LANDFALL_CONFIG: "${local.config_mount}/landfall.yaml",
      LANDFALL_BUS: "pubsub:${google_pubsub_topic.landfall.id}",
    });
  });

  it("keeps the configuration's text out of Terraform's state", () => {
    const version = resource("google_secret_manager_secret_version", "config");
    expect(version.secret_data).toBeUndefined();
    expect(version.secret_data_wo).toBe("${file(var.config_file)}");
    expect(version.secret_data_wo_version).toContain("filesha256(var.config_file)");
  });

  it("delivers messages to builds with backoff, for longer than it may take, and keeps those that fail", () => {
    const subscription = resource("google_pubsub_subscription", "builds");
    expect(functionConfig().event_trigger).toBeUndefined();
    expect(subscription).toMatchObject({
      retry_policy: [{ minimum_backoff: "10s", maximum_backoff: "600s" }],
      dead_letter_policy: [{ dead_letter_topic: "${google_pubsub_topic.dead_letter.id}" }],
      expiration_policy: [{ ttl: "" }],
      push_config: [
        {
          push_endpoint: expect.stringMatching(/\/\?__GCP_CloudEventsMode=CUSTOM_PUBSUB_\$\{urlencode\(/),
          oidc_token: [{ service_account_email: "${google_service_account.push.email}" }],
        },
      ],
    });
    expect(Number(subscription.ack_deadline_seconds)).toBeGreaterThan(limits.builds?.timeout_seconds ?? 600);
    expect(resource("google_pubsub_subscription", "dead_letter")).toMatchObject({
      topic: "${google_pubsub_topic.dead_letter.id}",
      expiration_policy: [{ ttl: "" }],
    });
  });

  it.each([
    { job: "sweep", schedule: "* * * * *", mode: "sweep" },
    { job: "full_run", schedule: "*/15 * * * *", mode: "full" },
  ])("calls reconcile, as an account that it can check: $mode at $schedule", ({ job, schedule, mode }) => {
    expect(resource("google_cloud_scheduler_job", job)).toMatchObject({
      schedule,
      http_target: [
        {
          http_method: "POST",
          uri: '${google_cloudfunctions2_function.function["reconcile"].service_config[0].uri}/reconcile',
          body: `\${base64encode(jsonencode({ mode = "${mode}" }))}`,
          oidc_token: [
            {
              service_account_email: "${google_service_account.scheduler.email}",
              audience: '${google_cloudfunctions2_function.function["reconcile"].service_config[0].uri}',
            },
          ],
        },
      ],
    });
  });

  it("waits for a full run as long as the function may take, and makes no second one of it", () => {
    expect(resource("google_cloud_scheduler_job", "full_run")).toMatchObject({
      attempt_deadline: `${limits.reconcile?.timeout_seconds}s`,
      retry_config: [{ retry_count: 0 }],
    });
  });

  it("protects the ledger from deletion, and can go back in time", () => {
    expect(resource("google_firestore_database", "ledger")).toMatchObject({
      delete_protection_state: "DELETE_PROTECTION_ENABLED",
      point_in_time_recovery_enablement: "POINT_IN_TIME_RECOVERY_ENABLED",
    });
  });
});

describe("firestore.indexes.json", () => {
  const Sorted = {
    order: z.optional(z.enum(["ASCENDING", "DESCENDING"])),
    arrayConfig: z.optional(z.literal("CONTAINS")),
  };
  const Scope = z.enum(["COLLECTION", "COLLECTION_GROUP"]);
  /** Exactly what firestore.tf takes over: another key would be for firebase-tools alone, and without effect. */
  const Indexes = z.strictObject({
    indexes: z.array(
      z.strictObject({
        collectionGroup: z.string(),
        queryScope: Scope,
        fields: z.array(z.strictObject({ fieldPath: z.string(), ...Sorted })).check(z.minLength(2)),
      }),
    ),
    fieldOverrides: z.array(
      z.strictObject({
        collectionGroup: z.string(),
        fieldPath: z.string(),
        ttl: z.optional(z.boolean()),
        indexes: z.array(z.strictObject({ queryScope: z.optional(Scope), ...Sorted })),
      }),
    ),
  });
  const parsed = Indexes.safeParse(
    JSON.parse(readFileSync(join(root, "infra/firestore.indexes.json"), "utf8")),
  );
  const declared = parsed.data ?? { indexes: [], fieldOverrides: [] };

  it("holds nothing that Terraform would leave out", () => {
    expect(parsed.error?.issues.map(({ path, message }) => `${path.join(".")}: ${message}`)).toBeUndefined();
  });

  it("is where Terraform takes each index and each field from", () => {
    expect(infra.locals.firestore).toBe('${jsondecode(file("${path.module}/firestore.indexes.json"))}');
    expect(infra.locals.firestore_indexes).toMatch(/^\$\{\{\s*for index in local\.firestore\.indexes :/);
    expect(infra.locals.firestore_fields).toMatch(
      /^\$\{\{\s*for field in local\.firestore\.fieldOverrides :/,
    );
    expect(resource("google_firestore_index", "ledger").for_each).toBe("${local.firestore_indexes}");
    expect(resource("google_firestore_field", "ledger").for_each).toBe("${local.firestore_fields}");
  });

  it("holds no entry twice, which Terraform would refuse", () => {
    const indexes = declared.indexes.map(({ collectionGroup, queryScope, fields }) =>
      [
        collectionGroup,
        queryScope,
        ...fields.map((field) => `${field.fieldPath}:${field.order ?? field.arrayConfig}`),
      ].join(" "),
    );
    const fields = declared.fieldOverrides.map(
      ({ collectionGroup, fieldPath }) => `${collectionGroup} ${fieldPath}`,
    );
    expect(indexes.length + fields.length).toBeGreaterThan(0);
    expect(new Set(indexes).size).toBe(indexes.length);
    expect(new Set(fields).size).toBe(fields.length);
  });

  it("gives each field of an index an order or an array's contents, not both", () => {
    const fields = declared.indexes.flatMap((index) => index.fields);
    expect(
      fields.filter(({ order, arrayConfig }) => (order === undefined) === (arrayConfig === undefined)),
    ).toEqual([]);
  });
});
