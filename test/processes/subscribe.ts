import { inlineBus } from "../../shared/bus/inline.ts";
import { systemClock } from "../../shared/clock.ts";

// node subscribe.ts FILE ack|hang: prints the data of each delivery on a line and acknowledges it, or never answers.
const [, , file = "", answer = "ack"] = process.argv;
const bus = inlineBus({ store: file, clock: systemClock });
bus.deliver(
  ({ message }) => {
    process.stdout.write(`${Buffer.from(message.data, "base64")}\n`);
    return answer === "ack" ? Promise.resolve("ack") : new Promise(() => {});
  },
  { pollMs: 20 },
);
process.stdin.resume(); // lives until its parent closes the pipe
process.stdin.on("end", () => void bus.close());
