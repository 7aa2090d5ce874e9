import type { Ledger } from "../ledger/ledger.ts";
import type { DriftRow, ReportDocument } from "../ledger/report-document.ts";

/** The rows of a report, from its chunks. */
export async function reportRows(
  ledger: Pick<Ledger, "get">,
  id: string,
  { chunks }: Pick<ReportDocument, "chunks">,
): Promise<readonly DriftRow[]> {
  const found = await Promise.all(
    Array.from({ length: chunks }, (_, chunk) => ledger.get("reports", `${id}/${chunk}`)),
  );
  return found.flatMap((stored) => stored?.value.rows ?? []);
}

/** The same, a chunk at a time: of a large report never all is in memory. */
export async function* reportPages(
  ledger: Pick<Ledger, "get">,
  id: string,
  { chunks }: Pick<ReportDocument, "chunks">,
): AsyncGenerator<readonly DriftRow[]> {
  for (let chunk = 0; chunk < chunks; chunk++) {
    yield (await ledger.get("reports", `${id}/${chunk}`))?.value.rows ?? [];
  }
}
