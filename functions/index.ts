import { drainOnSignals } from "./drain.ts";
import { registerFunctions } from "./register.ts";
import { deployedContext } from "./wiring/context.ts";
import { once } from "./wiring/once.ts";
import { wire } from "./wiring.ts";

const stopping = drainOnSignals();
registerFunctions(once(() => wire(deployedContext(stopping))));
