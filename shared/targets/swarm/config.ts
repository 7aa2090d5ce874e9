import * as z from "zod/mini";

/** One Docker Swarm, as `targets[]` of the configuration names it. The parts of `tls` are templates such as `${file:…}`. */
export const SwarmConfig = z
  .strictObject({
    name: z.string(),
    kind: z.literal("swarm"),
    /** A manager's Docker Engine API: `unix:///var/run/docker.sock` or `tcp://swarm.acme.io:2376`. */
    host: z.string().check(z.refine(isEngineHost, "expected unix:///path/to/docker.sock or tcp://host:port")),
    /** PEM: the authority that signed the engine's certificate, and our client certificate with its key. */
    tls: z.optional(
      z.strictObject({
        ca: z.string().check(z.minLength(1, "expected a PEM certificate")),
        cert: z.string().check(z.minLength(1, "expected a PEM certificate")),
        key: z.string().check(z.minLength(1, "expected a PEM key")),
      }),
    ),
    mode: z.optional(z.enum(["act", "observe"])),
  })
  .check(
    z.refine((config) => config.tls === undefined || config.host.startsWith("tcp://"), {
      message: "tls needs a host of the form tcp://host:port",
      path: ["tls"],
    }),
  );
export type SwarmConfig = z.infer<typeof SwarmConfig>;

function isEngineHost(text: string): boolean {
  if (/^unix:\/\/\/./.test(text)) return true;
  const url = URL.parse(text);
  return url !== null && /^tcp:\/\/[^/?#@]+:\d{1,5}$/.test(text) && url.hostname !== "";
}
