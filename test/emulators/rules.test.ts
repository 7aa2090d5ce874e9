import { readFile } from "node:fs/promises";
import { beforeAll, expect, it } from "vitest";
import { type FirestoreProject, firestoreProject } from "./firestore-emulator.ts";

let project: FirestoreProject;
beforeAll(async () => {
  project = firestoreProject();
  const content = await readFile(new URL("../../infra/firestore.rules", import.meta.url), "utf8");
  // Rules of one project; the emulator has no others: https://firebase.google.com/docs/emulator-suite/connect_firestore
  const answer = await fetch(`http://${project.host}/emulator/v1/projects/${project.project}:securityRules`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ rules: { files: [{ name: "firestore.rules", content }] } }),
  });
  expect([answer.status, await answer.text()]).toEqual([200, expect.anything()]);
  await project.rest("PATCH", "/refs/r", { body: { fields: { data: { stringValue: "{}" } } } });
});

const document = { fields: { data: { stringValue: "{}" } } };

it.each([
  { name: "a document", method: "GET", path: "/refs/r" },
  { name: "a document that is not there", method: "GET", path: "/refs/none" },
  { name: "a marker", method: "GET", path: "/events/e/workloads/due" },
  { name: "a list", method: "GET", path: "/workloads" },
  {
    name: "a query",
    method: "POST",
    path: ":runQuery",
    body: { structuredQuery: { from: [{ collectionId: "workloads", allDescendants: true }] } },
  },
  { name: "a write", method: "PATCH", path: "/refs/r", body: document },
  { name: "a new document", method: "POST", path: "/events", body: document },
  { name: "a deletion", method: "DELETE", path: "/refs/r" },
])("an end user gets nothing: $name", async ({ method, path, body }) => {
  const options = body === undefined ? {} : { body };
  expect((await project.rest(method, path, { caller: "nobody", ...options })).status).toBe(403);
});

it("the server's own libraries are not bound by that", async () => {
  expect((await project.rest("GET", "/refs/r")).status).toBe(200);
  const ledger = project.ledger();
  expect(await ledger.get("refs", "none")).toBeUndefined();
  await ledger.close();
});
