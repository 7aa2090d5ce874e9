import type { Ledger } from "../../shared/ledger/ledger.ts";
import { refDocument } from "./documents.ts";

/** Adds one to a ref's generation, as flows do: read, write at what was read, again after a conflict. */
export async function increment(ledger: Ledger, id: string, writer: string): Promise<void> {
  for (;;) {
    const found = await ledger.get("refs", id);
    const outcome = await ledger.commit(writer, [
      {
        collection: "refs",
        id,
        value: refDocument({ generation: (found?.value.generation ?? 0) + 1 }),
        expect: found?.rev ?? 0,
      },
    ]);
    if (outcome.kind === "committed") return;
  }
}
