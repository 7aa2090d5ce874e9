import * as z from "zod/mini";

/** One Docker Swarm, as `targets[]` of the configuration names it. The parts of `tls` are templates such as `${file:…}`. */
export const SwarmConfig = z
  .strictObject({
    name: z.string().check(z.describe("What workloads' addresses begin with, e.g. `swarm-prod`.")),
    kind: z.literal("swarm").check(z.describe("A Docker Swarm, by the Engine API of a manager.")),
    host: z
      .string()
      .check(
        z.refine(isEngineHost, "expected unix:///path/to/docker.sock or tcp://host:port"),
        z.describe(
          "A manager's Docker Engine API: `unix:///var/run/docker.sock` or `tcp://swarm.acme.io:2376`.",
        ),
      ),
    tls: z.optional(
      z
        .strictObject({
          ca: z
            .string()
            .check(
              z.minLength(1, "expected a PEM certificate"),
              z.describe(
                "PEM of the authority that signed the engine's certificate, e.g. `${file:/secrets/ca.pem}`.",
              ),
            ),
          cert: z
            .string()
            .check(
              z.minLength(1, "expected a PEM certificate"),
              z.describe("PEM of Landfall's client certificate, e.g. `${file:/secrets/cert.pem}`."),
            ),
          key: z
            .string()
            .check(
              z.minLength(1, "expected a PEM key"),
              z.describe("PEM of that certificate's key, e.g. `${file:/secrets/key.pem}`."),
            ),
        })
        .check(z.describe("How Landfall and the engine prove themselves to each other over tcp.")),
    ),
    mode: z.optional(
      z
        .enum(["act", "observe"])
        .check(
          z.describe("`act` deploys, `observe` records what it would have deployed; else `defaults.mode`."),
        ),
    ),
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
