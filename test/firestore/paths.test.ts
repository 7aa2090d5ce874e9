import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { markedBy, markerOf, pathOf } from "../../shared/ledger/firestore/paths.ts";

/** https://cloud.google.com/firestore/quotas#collections_documents_and_fields */
function isAllowed(id: string): boolean {
  return (
    id !== "" &&
    id !== "." &&
    id !== ".." &&
    !id.includes("/") &&
    !/^__.*__$/.test(id) &&
    Buffer.byteLength(id) <= 1_500
  );
}

const ids = fc.oneof(
  fc.string({ unit: "binary", maxLength: 1_000 }),
  fc.string({ unit: fc.constantFrom(".", "_", "/", "%", "h", "2", "E", "é"), maxLength: 12 }),
);

describe("the path of a document", () => {
  it.each([
    { id: "docker.io/acme/web:v1", path: "refs/docker.io%2Facme%2Fweb%3Av1" },
    { id: "", path: "refs/%" },
    { id: ".", path: "refs/%2E" },
    { id: "..", path: "refs/%2E%2E" },
    { id: "__proto__", path: "refs/%5F_proto__" },
    { id: "a%2Fb", path: "refs/a%252Fb" },
  ])("of $id is $path", ({ id, path }) => {
    expect(pathOf("refs", id)).toBe(path);
  });

  it("is one that Firestore takes, whatever the id", () => {
    fc.assert(
      fc.property(ids, (id) => {
        const [collection, encoded = "", ...more] = pathOf("events", id).split("/");
        expect([collection, more]).toEqual(["events", []]);
        expect(isAllowed(encoded)).toBe(true);
      }),
    );
  });

  it("is another one for each id", () => {
    fc.assert(
      fc.property(ids, ids, (one, other) => {
        fc.pre(one !== other);
        expect(pathOf("refs", one)).not.toBe(pathOf("refs", other));
      }),
    );
  });

  it("differs for long ids that begin alike", () => {
    const start = "a/".repeat(2_000);
    expect(pathOf("refs", `${start}1`)).not.toBe(pathOf("refs", `${start}2`));
  });
});

describe("the path of a marker", () => {
  it.each(["refs", "events"] as const)("of %s leads back to what it marks", (collection) => {
    const path = pathOf(collection, "a/workloads/due");
    expect(markedBy(markerOf(path))).toEqual({ collection, path });
    expect(markedBy(path)).toBeUndefined();
  });

  it.each(["workloads/swarm%2Fweb", "other/x/workloads/due", "refs/x/workloads/other"])(
    "is not %s",
    (path) => {
      expect(markedBy(path)).toBeUndefined();
    },
  );
});
