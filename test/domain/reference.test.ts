import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  familiarName,
  isDigest,
  isTag,
  normaliseHost,
  parseReference,
  printReference,
  type Reference,
  type Repository,
} from "../../shared/domain/reference.ts";

const digest = `sha256:${"0123456789abcdef".repeat(4)}`;

describe("reading an image name", () => {
  it.each<{ text: string; repository: string; tag?: string; digest?: string }>([
    { text: "nginx", repository: "docker.io/library/nginx", tag: "latest" },
    { text: "acme/web:v1", repository: "docker.io/acme/web", tag: "v1" },
    { text: "localhost/web", repository: "localhost/web", tag: "latest" },
    { text: "reg:5000/web", repository: "reg:5000/web", tag: "latest" },
    { text: "reg/web", repository: "docker.io/reg/web", tag: "latest" },
    { text: `docker.io/nginx@${digest}`, repository: "docker.io/library/nginx", digest },
    { text: `gcr.io/p/a/b:1@${digest}`, repository: "gcr.io/p/a/b", tag: "1", digest },
    { text: "index.docker.io/acme/web", repository: "docker.io/acme/web", tag: "latest" },
    { text: "docker.io/acme/web", repository: "docker.io/acme/web", tag: "latest" },
    { text: "docker.io/library/nginx", repository: "docker.io/library/nginx", tag: "latest" },
    { text: "REG/web", repository: "reg/web", tag: "latest" },
    { text: "Reg.Example:5000/acme/web:V1", repository: "reg.example:5000/acme/web", tag: "V1" },
    { text: "[::1]:5000/web:v1", repository: "[::1]:5000/web", tag: "v1" },
    { text: "127.0.0.1/web", repository: "127.0.0.1/web", tag: "latest" },
    { text: "reg.example/web:5000", repository: "reg.example/web", tag: "5000" },
    { text: `nginx:${"x".repeat(128)}`, repository: "docker.io/library/nginx", tag: "x".repeat(128) },
    { text: "acme/a.b_c__d---e", repository: "docker.io/acme/a.b_c__d---e", tag: "latest" },
    { text: `reg.example/${"a".repeat(255)}`, repository: `reg.example/${"a".repeat(255)}`, tag: "latest" },
    { text: `acme/${"a".repeat(64)}`, repository: `docker.io/acme/${"a".repeat(64)}`, tag: "latest" },
  ])("$text", ({ text, ...reference }) => {
    expect(parseReference(text)).toEqual({ kind: "reference", reference });
  });

  it.each<{ name: string; text: string }>([
    { name: "nothing", text: "" },
    { name: "an image id", text: "0123456789abcdef".repeat(4) },
    { name: "upper case in the path", text: "docker.io/Acme/web" },
    { name: "upper case in a name alone", text: "Nginx" },
    { name: "a tag with a plus", text: "nginx:1+2" },
    { name: "a tag that begins with a hyphen", text: "nginx:-1" },
    { name: "a tag that begins with a dot", text: "nginx:.1" },
    { name: "a tag of 129 characters", text: `nginx:${"x".repeat(129)}` },
    { name: "an empty tag", text: "nginx:" },
    { name: "an empty digest", text: "nginx@" },
    { name: "a short digest", text: "nginx@sha256:abc" },
    { name: "a digest in upper case", text: `nginx@sha256:${"A".repeat(64)}` },
    { name: "a digest of another algorithm", text: `nginx@sha512:${"0".repeat(128)}` },
    { name: "two digests", text: `nginx@${digest}@${digest}` },
    { name: "a tag after the digest", text: `nginx@${digest}:v1` },
    { name: "two slashes in a row", text: "acme//web" },
    { name: "a slash at the end", text: "acme/" },
    { name: "a slash at the beginning", text: "/web" },
    { name: "a host alone", text: "reg.example/" },
    { name: "three underscores", text: "acme/a___b" },
    { name: "two dots", text: "acme/a..b" },
    { name: "a way out of the path", text: "reg.example/../web" },
    { name: "a component that ends in a hyphen", text: "acme/web-" },
    { name: "a path of 256 characters", text: `reg.example/${"a".repeat(256)}` },
    { name: "a host that begins with a hyphen", text: "-reg.example/web" },
    { name: "a URL", text: "https://reg.example/web" },
    { name: "a host with an underscore", text: "a.b_c/web" },
    { name: "a port that is no number", text: "reg:port/web" },
    { name: "a blank", text: "acme/web v1" },
    { name: "a line end after the tag", text: "acme/web:v1\n" },
    { name: "a line end after the digest", text: `acme/web@${digest}\n` },
    { name: "a line end after the name", text: "acme/web\n" },
  ])("refuses $name", ({ text }) => {
    expect(parseReference(text)).toMatchObject({ kind: "invalid", reason: expect.stringMatching(/./) });
  });
});

const tag = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/);
const component = fc.stringMatching(/^[a-z0-9]{1,8}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}$/);
const path = fc.array(component, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
const host = fc.oneof(
  fc.constantFrom("docker.io", "localhost", "gcr.io", "[::1]:5000", "127.0.0.1:5000"),
  fc.stringMatching(/^[a-z][a-z0-9]{0,8}\.[a-z]{2,5}(:[1-9][0-9]{1,3})?$/),
  fc.stringMatching(/^[a-z][a-z0-9]{0,8}:[1-9][0-9]{1,3}$/),
);
const digests = fc.stringMatching(/^[0-9a-f]{64}$/).map((hex) => `sha256:${hex}`);
const text = fc
  .record({
    at: fc.option(host, { nil: "" }),
    name: fc.oneof(
      path,
      path.map((rest) => `library/${rest}`),
      path.map((rest) => `localhost/${rest}`),
    ),
    tagged: fc.option(tag, { nil: "" }),
    pinned: fc.option(digests, { nil: "" }),
  })
  .map(({ at, name, tagged, pinned }) => {
    // Without a host, a first component with a dot would be one, or a wrong one.
    const named = at === "" ? name.replace(/^[^/]*/, (first) => first.replaceAll(".", "-")) : `${at}/${name}`;
    return `${named}${tagged === "" ? "" : `:${tagged}`}${pinned === "" ? "" : `@${pinned}`}`;
  })
  .filter((written) => !/^[0-9a-f]{64}(?![^:@])/.test(written));

function read(written: string): Reference {
  const parsed = parseReference(written);
  if (parsed.kind === "invalid") throw new Error(`${written}: ${parsed.reason}`);
  return parsed.reference;
}

describe("printing a reference", () => {
  it("is undone by reading it", () => {
    fc.assert(
      fc.property(text, (written) => {
        const reference = read(written);
        expect(read(printReference(reference))).toEqual(reference);
      }),
    );
  });

  it("gives the normal form: printing what was read again changes nothing", () => {
    fc.assert(
      fc.property(text, (written) => {
        const normal = printReference(read(written));
        expect(printReference(read(normal))).toBe(normal);
      }),
    );
  });

  it("names the same repository the way docker shows it", () => {
    fc.assert(
      fc.property(text, (written) => {
        const { repository } = read(written);
        expect(read(familiarName(repository)).repository).toBe(repository);
      }),
    );
  });
});

describe("the parts of a name", () => {
  it.each<{ repository: Repository; shown: string }>([
    { repository: "docker.io/library/nginx", shown: "nginx" },
    { repository: "docker.io/acme/web", shown: "acme/web" },
    { repository: "docker.io/library/distros/debian", shown: "library/distros/debian" },
    { repository: "docker.io/localhost/web", shown: "docker.io/localhost/web" },
    { repository: "reg.example:5000/library/web", shown: "reg.example:5000/library/web" },
  ])("shows $repository as $shown", ({ repository, shown }) => {
    expect(familiarName(repository)).toBe(shown);
  });

  it("folds every spelling of Docker Hub, and keeps ports", () => {
    for (const spelling of [
      "docker.io",
      "index.docker.io",
      "Registry-1.docker.io",
      "registry.hub.docker.com",
    ]) {
      expect(normaliseHost(spelling)).toBe("docker.io");
    }
    expect(normaliseHost("Docker.io:443")).toBe("docker.io:443");
  });

  it("takes nothing but text for a tag or a digest", () => {
    for (const value of [undefined, null, 5, {}, ["v1"]]) {
      expect(isTag(value)).toBe(false);
      expect(isDigest(value)).toBe(false);
    }
  });
});
