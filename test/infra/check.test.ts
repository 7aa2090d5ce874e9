import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { amended } from "./amendments.ts";
import { checkReferences } from "./check-references.ts";
import { checkSchema } from "./check-schema.ts";
import { parseModule } from "./module.ts";

const schema = amended(
  JSON.parse(readFileSync(join(import.meta.dirname, "../fixtures/google-provider-schema.json"), "utf8")),
);

describe("the check of Terraform files", () => {
  const topic = (body: string) => `resource "google_pubsub_topic" "t" {\n${body}\n}\n`;
  const subscription = (body: string) =>
    `resource "google_pubsub_subscription" "s" {\n  name  = "abc"\n  topic = "abc"\n${body}\n}\n`;

  it.each<{ readonly name: string; readonly text: string; readonly problem: string | RegExp }>([
    {
      name: "an argument that does not exist",
      text: topic('name = "abc"\nretention = "600s"'),
      problem: "a.tf: google_pubsub_topic.t.retention: unknown",
    },
    {
      name: "a required argument that is missing",
      text: topic('project = "p"'),
      problem: "a.tf: google_pubsub_topic.t.name: required and missing",
    },
    {
      name: "a required argument that is missing in a nested block",
      text: subscription('push_config {\n  oidc_token {\n    service_account_email = "a"\n  }\n}'),
      problem: "a.tf: google_pubsub_subscription.s.push_config.push_endpoint: required and missing",
    },
    {
      name: "a map where a block belongs",
      text: subscription('retry_policy = { minimum_backoff = "10s" }'),
      problem:
        "a.tf: google_pubsub_subscription.s.retry_policy: is a block, write `retry_policy { … }` without =",
    },
    {
      name: "a block where a map belongs",
      text: topic('name = "abc"\nlabels {\n  a = "b"\n}'),
      problem: "a.tf: google_pubsub_topic.t.labels: is an argument, write `labels = …`",
    },
    {
      name: "a block that does not exist",
      text: subscription("backoff {\n}"),
      problem: "a.tf: google_pubsub_subscription.s.backoff: unknown",
    },
    {
      name: "a block that does not exist, generated",
      text: subscription('dynamic "backoff" {\n  for_each = [1]\n  content {}\n}'),
      problem: "a.tf: google_pubsub_subscription.s.backoff: unknown block",
    },
    {
      name: "an unknown argument in a generated block",
      text: subscription('dynamic "retry_policy" {\n  for_each = [1]\n  content {\n    pause = "1s"\n  }\n}'),
      problem: "a.tf: google_pubsub_subscription.s.retry_policy.pause: unknown",
    },
    {
      name: "a second block where one is allowed",
      text: subscription("retry_policy {}\nretry_policy {}"),
      problem: "a.tf: google_pubsub_subscription.s.retry_policy: only one is allowed",
    },
    {
      name: "a required block that is missing",
      text: 'resource "google_secret_manager_secret" "s" {\n  secret_id = "a"\n}',
      problem: "a.tf: google_secret_manager_secret.s.replication: required and missing",
    },
    {
      name: "a value outside the provider's list",
      text: 'resource "google_firestore_index" "i" {\n  collection = "c"\n  fields {\n    order = "UP"\n  }\n}',
      problem: 'a.tf: google_firestore_index.i.fields.order: "UP" is none of ASCENDING, DESCENDING',
    },
    {
      name: "a value of another type",
      text: subscription('ack_deadline_seconds = "ten"'),
      problem: "a.tf: google_pubsub_subscription.s.ack_deadline_seconds: expected number",
    },
    {
      name: "a type that the schema lacks",
      text: 'resource "google_pubsub_topik" "t" {\n}',
      problem: "a.tf: google_pubsub_topik.t: the schema has no such type",
    },
    {
      name: "what became read-only after the fixture's release",
      text: 'resource "google_cloudfunctions2_function" "f" {\n  name = "f"\n  location = "l"\n  service_config {\n    service = "s"\n  }\n}',
      problem: "a.tf: google_cloudfunctions2_function.f.service_config.service: unknown",
    },
  ])("finds $name", async ({ text, problem }) => {
    expect(checkSchema(await parseModule({ "a.tf": text }), schema)).toEqual([problem]);
  });

  it("finds text that is no HCL, with its line", async () => {
    await expect(parseModule({ "a.tf": 'resource "x" "y" {\n  a = 1\n  b =\n}\n' })).rejects.toThrow(
      /a\.tf:3,/,
    );
  });

  it.each<{ readonly name: string; readonly text: string; readonly problem: string }>([
    {
      name: "a variable that is declared nowhere",
      text: topic('name = "abc-${var.suffix}"'),
      problem: "a.tf: google_pubsub_topic.t: var.suffix is not declared",
    },
    {
      name: "a resource that is declared nowhere, in an expression that quotes another text",
      text:
        topic('name = "a" == "${local.a}" ? "${google_pubsub_topic.u.name}" : null') +
        "locals {\n  a = 1\n}\n",
      problem: "a.tf: google_pubsub_topic.t: google_pubsub_topic.u is not declared",
    },
    {
      name: "an attribute that the type does not have",
      text: `${topic('name = "abc"')}output "o" {\n  value = google_pubsub_topic.t.email\n}`,
      problem: "a.tf: output.o: google_pubsub_topic has no attribute email",
    },
    {
      name: "a data source that is declared nowhere",
      text: topic("name = data.google_project.this.name"),
      problem: "a.tf: google_pubsub_topic.t: data.google_project.this is not declared",
    },
    {
      name: "a variable that nothing uses",
      text: 'variable "unused" {}\n',
      problem: "var.unused is used nowhere",
    },
  ])("finds $name", async ({ text, problem }) => {
    expect(checkReferences(await parseModule({ "a.tf": text }), schema)).toEqual([problem]);
  });
});

describe("the amendments to the provider's schema", () => {
  it.each([
    { name: "a type", type: "google_other", path: [], argument: "name" },
    { name: "a block", type: "google_pubsub_topic", path: ["other"], argument: "name" },
    { name: "an argument", type: "google_pubsub_topic", path: [], argument: "other" },
  ])("name nothing but what the schema has: $name", ({ name: _, ...amendment }) => {
    expect(() => amended(schema, [{ ...amendment, now: "required", reason: "test" }])).toThrow(
      "nothing to amend",
    );
  });
});
