import type { LoadedConfig } from "../../shared/config/load.ts";

interface Once<T> {
  (): T;
  readonly called: boolean;
}

/** The first call's result for every later call; a promise that fails is tried again at the next. */
export function once<T>(make: () => T): Once<T> {
  let kept: { readonly value: T } | undefined;
  const call = () => {
    if (kept === undefined) {
      const made = { value: make() };
      kept = made;
      if (made.value instanceof Promise) {
        made.value.catch(() => {
          if (kept === made) kept = undefined;
        });
      }
    }
    return kept.value;
  };
  return Object.defineProperty(call, "called", { get: () => kept !== undefined }) as Once<T>;
}

/** What is made from a configuration, made anew when that has changed; what still uses the old one goes on with it. */
export function perConfig<T>(
  config: () => Promise<LoadedConfig>,
  make: (loaded: LoadedConfig) => Promise<T>,
): () => Promise<T> {
  const made = new WeakMap<LoadedConfig, () => Promise<T>>();
  const ofLoaded = (loaded: LoadedConfig) => {
    const known = made.get(loaded) ?? once(() => make(loaded));
    made.set(loaded, known);
    return known();
  };
  let last: { readonly loading: Promise<LoadedConfig>; readonly making: Promise<T> } | undefined;
  return () => {
    const loading = config();
    if (last?.loading === loading) return last.making;
    const next = { loading, making: loading.then(ofLoaded) };
    last = next;
    next.making.catch(() => {
      if (last === next) last = undefined;
    });
    return next.making;
  };
}
