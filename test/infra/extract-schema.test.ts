import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { extractSchema } from "./extract-schema.ts";

describe("the tool that reads the provider's schema", () => {
  const folder = mkdtempSync(join(tmpdir(), "provider-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const thing = join(folder, "lib/thing");
  mkdirSync(thing, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{"name":"provider","version":"1.2.3"}');
  writeFileSync(
    join(thing, "index.d.ts"),
    `export interface ThingConfig extends cdktf.TerraformMetaArguments {
    /**
    * How. Possible values: ["ONE", "TWO"]
    */
    readonly someMode: string;
    readonly labels?: {
        [key: string]: string;
    };
    readonly inner?: ThingInner;
    readonly parts: ThingParts[] | cdktf.IResolvable;
}
export interface ThingInner {
}
export interface ThingParts {
    readonly name: string;
}
`,
  );
  const entry = (name: string, value: string, isBlock: boolean, type: string) =>
    `            ${name}: {\n                value: ${value},\n                isBlock: ${isBlock},\n                type: "${type}",\n                storageClassType: "${type}",\n            },\n`;
  writeFileSync(
    join(thing, "index.js"),
    `
function thingInnerToHclTerraform(struct) {
    const attrs = {};
}
function thingPartsToHclTerraform(struct) {
    const attrs = {
${entry("name", "cdktf.stringToHclTerraform(struct.name)", false, "simple").replaceAll(/^ {4}/gm, "")}    };
}
class ThingInnerOutputReference extends cdktf.ComplexObject {
    get state() {
        return this.getStringAttribute('state');
    }
}
class Thing extends cdktf.TerraformResource {
    constructor() {
        this._inner = new ThingInnerOutputReference(this, "inner");
    }
    get email() {
        return this.getStringAttribute('email');
    }
    synthesizeHclAttributes() {
        const attrs = {
${entry("some_mode", "cdktf.stringToHclTerraform(this._someMode)", false, "simple")}${entry("labels", "cdktf.hashMapperHcl(cdktf.stringToHclTerraform)(this._labels)", false, "map")}${entry("inner", "thingInnerToHclTerraform(this._inner.internalValue)", true, "list")}${entry("parts", "cdktf.listMapperHcl(thingPartsToHclTerraform, true)(this._parts.internalValue)", true, "list")}        };
    }
}
`,
  );

  it("finds arguments, blocks, what is required, what is single, values, and what can be read", () => {
    expect(extractSchema(folder, { resources: ["google_thing"], data: [] })).toEqual({
      source: "provider 1.2.3",
      resources: {
        google_thing: {
          arguments: {
            some_mode: { type: "simple", required: true, values: ["ONE", "TWO"] },
            labels: { type: "map" },
          },
          blocks: {
            inner: { single: true, arguments: {}, blocks: {}, readable: ["state"] },
            parts: {
              required: true,
              arguments: { name: { type: "simple", required: true } },
              blocks: {},
              readable: [],
            },
          },
          readable: ["email", "inner"],
        },
      },
      data: {},
    });
  });

  it("refuses a type that the package lacks", () => {
    expect(() => extractSchema(folder, { resources: ["google_other"], data: [] })).toThrow(
      "has no google_other",
    );
  });
});
