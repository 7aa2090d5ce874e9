import { create } from "../../shared/targets/swarm/swarm.ts";
import { targetContract } from "../contracts/target.ts";
import { smallSwarmWorld } from "./small-swarm-world.ts";

const context = { secret: (text: string) => () => text, pullCredentials: () => undefined };

targetContract("a Docker Swarm (small)", async () => {
  const world = smallSwarmWorld();
  const server = await world.swarm.listen(0);
  const target = create({ name: "swarm", kind: "swarm", host: `tcp://127.0.0.1:${server.port}` }, context);
  const unreachable = create({ name: "swarm", kind: "swarm", host: "tcp://127.0.0.1:1" }, context);
  return {
    target,
    unreachable,
    prefix: "",
    publish: world.publish,
    createWorkload: world.create,
    async touch(name) {
      const { Version, Spec } = await world.service(name);
      await world.post(name, Version.Index, { ...Spec, Labels: { ...Spec.Labels, touched: "yes" } });
    },
    remove: async (name) => void (await world.swarm.handle("DELETE", `/services/${name}`)),
    async rest(name) {
      const { Spec } = await world.service(name);
      return JSON.parse(
        JSON.stringify(Spec, (key, value) =>
          ["Image", "Platforms", "landfall.seq"].includes(key) ? undefined : value,
        ),
      );
    },
    loseNextAnswer: () => world.swarm.inject({ kind: "lose-answer", on: /^POST / }),
    pass: () => world.clock.advance(500),
    async close() {
      await target.close();
      await server.close();
    },
  };
});
