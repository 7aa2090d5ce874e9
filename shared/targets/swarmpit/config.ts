import * as z from "zod/mini";

/** Headers that the adapter sets by itself. */
const ownHeaders = new Set(["authorization", "accept", "content-length", "host"]);

const HeaderName = z.string().check(
  z.regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, "expected a header's name"),
  z.refine((name) => !ownHeaders.has(name.toLowerCase()), "this header is set by Landfall itself"),
);

/** One Swarmpit, as `targets[]` of the configuration names it. `token` and `headers` are templates such as `${NAME}`. */
export const SwarmpitConfig = z.strictObject({
  name: z.string(),
  kind: z.literal("swarmpit"),
  /** Where the API is: the origin and `/api`, e.g. `https://swarmpit.acme.io/api`. */
  url: z
    .string()
    .check(z.refine(isApiUrl, "expected Swarmpit's address and /api, e.g. https://swarmpit.acme.io/api")),
  /** An API token of a Swarmpit user with the role `user` or `admin`, with or without its `Bearer `. */
  token: z.string().check(z.minLength(1, "expected an API token of Swarmpit")),
  /** Sent with every call, for a proxy in front of Swarmpit. */
  headers: z.optional(z.record(HeaderName, z.string())),
  mode: z.optional(z.enum(["act", "observe"])),
});
export type SwarmpitConfig = z.infer<typeof SwarmpitConfig>;

function isApiUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:")) return false;
  const plain = url.search === "" && url.hash === "" && url.username === "" && url.password === "";
  return plain && /\/api\/?$/.test(url.pathname);
}
