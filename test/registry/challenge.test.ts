import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Challenge, parseChallenges } from "../../shared/registry/oci/challenge.ts";

interface Case {
  readonly name: string;
  readonly headers: readonly string[];
  readonly challenges: readonly Challenge[];
}

const realm = "http://127.0.0.1:5058/token";
const service = "ct-registry";
const bearer = `Bearer realm="${realm}",service="${service}"`;
const pull = "repository:acme/web:pull";

describe("challenges", () => {
  it.each<Case>([
    {
      name: "basic",
      headers: ['Basic realm="basic-realm"'],
      challenges: [{ scheme: "basic", parameters: { realm: "basic-realm" } }],
    },
    {
      name: "bearer without a scope",
      headers: [bearer],
      challenges: [{ scheme: "bearer", parameters: { realm, service } }],
    },
    {
      name: "bearer to pull",
      headers: [`${bearer},scope="${pull}"`],
      challenges: [{ scheme: "bearer", parameters: { realm, service, scope: pull } }],
    },
    {
      name: "bearer to push, with a comma in the scope",
      headers: [`${bearer},scope="${pull},push"`],
      challenges: [{ scheme: "bearer", parameters: { realm, service, scope: `${pull},push` } }],
    },
    {
      name: "a token that is too narrow",
      headers: [`${bearer},scope="${pull},push",error="insufficient_scope"`],
      challenges: [
        {
          scheme: "bearer",
          parameters: { realm, service, scope: `${pull},push`, error: "insufficient_scope" },
        },
      ],
    },
    {
      name: "a token that is none",
      headers: [`${bearer},scope="${pull}",error="invalid_token"`],
      challenges: [{ scheme: "bearer", parameters: { realm, service, scope: pull, error: "invalid_token" } }],
    },
    {
      name: "several in one header, schemes in any case, names too",
      headers: [`BASIC Realm="a, b", bEARER REALM="${realm}" , service=plain`],
      challenges: [
        { scheme: "basic", parameters: { realm: "a, b" } },
        { scheme: "bearer", parameters: { realm, service: "plain" } },
      ],
    },
    {
      name: "several headers, and schemes without parameters or with a token of their own",
      headers: ["Negotiate", "NTLM TlRMTVNTUAAC==, Basic", `Digest realm="d", ${bearer}`],
      challenges: [
        { scheme: "negotiate", parameters: {} },
        { scheme: "ntlm", parameters: {} },
        { scheme: "basic", parameters: {} },
        { scheme: "digest", parameters: { realm: "d" } },
        { scheme: "bearer", parameters: { realm, service } },
      ],
    },
    {
      name: "quotes and backslashes within quotes",
      headers: ['Basic realm="say \\"hi\\" \\\\ bye"'],
      challenges: [{ scheme: "basic", parameters: { realm: 'say "hi" \\ bye' } }],
    },
    {
      name: "the first of a repeated name, and names that objects have by themselves",
      headers: ['Bearer realm="one",realm="two",__proto__="x",constructor="y"'],
      challenges: [
        { scheme: "bearer", parameters: JSON.parse('{"realm":"one","__proto__":"x","constructor":"y"}') },
      ],
    },
    {
      name: "what stands before something unreadable",
      headers: ['Basic realm="a", ??? ="', ""],
      challenges: [{ scheme: "basic", parameters: { realm: "a" } }],
    },
  ])("reads $name", ({ headers, challenges }) => {
    const read = parseChallenges(headers).map(({ scheme, parameters }) => ({
      scheme,
      parameters: Object.entries(parameters),
    }));
    expect(read).toEqual(
      challenges.map(({ scheme, parameters }) => ({ scheme, parameters: Object.entries(parameters) })),
    );
  });

  it("reads back whatever is written in quotes", () => {
    const word = fc.stringMatching(/^[a-z][a-z0-9-]{0,9}$/);
    const text = fc.string().filter((value) => !/[\r\n]/.test(value));
    fc.assert(
      fc.property(
        word,
        fc.uniqueArray(fc.tuple(word, text), { selector: ([name]) => name, minLength: 1 }),
        (scheme, pairs) => {
          const written = pairs.map(([name, value]) => `${name}="${value.replaceAll(/["\\]/g, "\\$&")}"`);
          const [challenge] = parseChallenges([`${scheme} ${written.join(", ")}`]);
          expect(challenge?.scheme).toBe(scheme);
          expect(Object.entries(challenge?.parameters ?? {})).toEqual(pairs);
        },
      ),
    );
  });

  it("ends, whatever it is sent", () => {
    fc.assert(
      fc.property(fc.string(), (header) => {
        expect(Array.isArray(parseChallenges([header]))).toBe(true);
      }),
    );
  });
});
