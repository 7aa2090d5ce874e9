import * as z from "zod/mini";

/** Headers that the adapter sets by itself. */
const ownHeaders = new Set(["authorization", "accept", "content-length", "host"]);

const HeaderName = z.string().check(
  z.regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, "expected a header's name"),
  z.refine((name) => !ownHeaders.has(name.toLowerCase()), "this header is set by Landfall itself"),
);

/** One Swarmpit, as `targets[]` of the configuration names it. `token` and `headers` are templates such as `${NAME}`. */
export const SwarmpitConfig = z.strictObject({
  name: z.string().check(z.describe("What workloads' addresses begin with, e.g. `swarm-prod`.")),
  kind: z.literal("swarmpit").check(z.describe("A Docker Swarm, by the API of its Swarmpit.")),
  url: z
    .string()
    .check(
      z.refine(isApiUrl, "expected Swarmpit's address and /api, e.g. https://swarmpit.acme.io/api"),
      z.describe("Where the API is: the origin and `/api`, e.g. `https://swarmpit.acme.io/api`."),
    ),
  token: z
    .string()
    .check(
      z.minLength(1, "expected an API token of Swarmpit"),
      z.describe(
        "An API token of a Swarmpit user with the role `user` or `admin`, e.g. `${SWARMPIT_TOKEN}`; with or without its `Bearer `.",
      ),
    ),
  headers: z.optional(
    z
      .record(HeaderName, z.string())
      .check(
        z.describe(
          "Headers sent with every call, for a proxy in front of Swarmpit; their values may be secrets.",
        ),
      ),
  ),
  mode: z.optional(
    z
      .enum(["act", "observe"])
      .check(
        z.describe("`act` deploys, `observe` records what it would have deployed; else `defaults.mode`."),
      ),
  ),
});
export type SwarmpitConfig = z.infer<typeof SwarmpitConfig>;

function isApiUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:")) return false;
  const plain = url.search === "" && url.hash === "" && url.username === "" && url.password === "";
  return plain && /\/api\/?$/.test(url.pathname);
}
