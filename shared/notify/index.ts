import type { EntryOf, Notifier, NotifierContext, NotifierEntry } from "./notifier.ts";

/** The code of every kind of notifier, loaded when it is used. */
const notifiers = {
  slack: () => import("./slack.ts"),
  webhook: () => import("./webhook.ts"),
} satisfies {
  readonly [K in NotifierEntry["kind"]]: () => Promise<{
    create(entry: EntryOf<K>, context: NotifierContext): Notifier;
  }>;
};

/** Makes the notifier that an entry describes. Only that kind's code is loaded; nothing is sent. */
export async function createNotifier(entry: NotifierEntry, context: NotifierContext): Promise<Notifier> {
  const { create } = await notifiers[entry.kind]();
  // Each `create` takes the entries of its own kind, which is what `kind` has just chosen.
  return create(entry as never, context);
}
