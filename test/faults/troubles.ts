import {
  HistoryUnavailableError,
  RegistryUnavailableError,
  TargetUnavailableError,
} from "../../shared/errors.ts";
import type { Stage } from "./lives.ts";

type Troubles = NonNullable<Stage["troubles"]>;

/** Fails so many calls before they reach the other side. */
function refusing<A extends unknown[], R>(
  left: { count: number },
  error: Error,
  act: (...given: A) => Promise<R>,
) {
  return async (...given: A): Promise<R> => {
    if (left.count-- > 0) throw error;
    return act(...given);
  };
}

/** The registry is away for one call of a promotion. */
export function promotionAway(method: "head" | "get" | "put"): Troubles {
  let isOver = false;
  const pass = (called: typeof method, reference: string) => {
    // A build's own look at its tag is another matter.
    if (isOver || called !== method || (called === "head" && reference !== "prod")) return;
    isOver = true;
    throw new RegistryUnavailableError("the registry is away");
  };
  return ({ registry, ...deps }) => ({
    ...deps,
    registry: {
      ...registry,
      head: async (repository, reference) => {
        pass("head", reference);
        return registry.head(repository, reference);
      },
      get: async (repository, reference) => {
        pass("get", reference);
        return registry.get(repository, reference);
      },
      put: async (repository, tag, manifest) => {
        pass("put", tag);
        await registry.put(repository, tag, manifest);
      },
    },
  });
}

/** The registry takes one write, and nobody hears of it. */
export function promotionLost(): Troubles {
  let isLost = false;
  return (deps) => ({
    ...deps,
    registry: {
      ...deps.registry,
      put: async (...given) => {
        await deps.registry.put(...given);
        if (isLost) return;
        isLost = true;
        throw new RegistryUnavailableError("the answer was lost");
      },
    },
  });
}

export function historyAway(count: number): Troubles {
  const left = { count };
  const error = new HistoryUnavailableError("the git host is away");
  return (deps) => ({ ...deps, history: { order: refusing(left, error, deps.history.order) } });
}

export function targetAway(): Troubles {
  const left = { count: 1 };
  const error = new TargetUnavailableError("the target is away");
  return (deps) => ({
    ...deps,
    targets: deps.targets.map((at) => ({
      ...at,
      target: { ...at.target, list: refusing(left, error, at.target.list) },
    })),
  });
}
