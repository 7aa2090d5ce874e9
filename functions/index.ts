import { drainOnSignals } from "./drain.ts";
import { registerFunctions } from "./register.ts";
import { wiringFromEnvironment } from "./wiring.ts";

registerFunctions(wiringFromEnvironment(drainOnSignals()));
