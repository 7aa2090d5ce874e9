import type { LoadedConfig } from "../../shared/config/load.ts";
import type { FlowNotifier } from "../../shared/flows/deps.ts";
import type { NotifierContext } from "../../shared/notify/notifier.ts";
import { once } from "./once.ts";

/** Who is told what. Only a sweep tells, so nothing is loaded before it does. */
export function notifiersOf(
  { config, secret }: Pick<LoadedConfig, "config" | "secret">,
  context: Omit<NotifierContext, "secret">,
  clients: { close(): Promise<void> }[],
): readonly FlowNotifier[] {
  return config.notify.map((entry, index) => {
    const before = config.notify.slice(0, index).filter(({ kind }) => kind === entry.kind).length;
    return {
      name: before === 0 ? entry.kind : `${entry.kind}-${before + 1}`,
      on: new Set(entry.on),
      open: once(async () => {
        const { createNotifier } = await import("../../shared/notify/index.ts");
        const notifier = await createNotifier(entry, { secret, ...context });
        clients.push(notifier);
        return notifier;
      }),
    };
  });
}
