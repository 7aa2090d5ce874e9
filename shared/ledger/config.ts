/** What `LANDFALL_LEDGER` says. */
export type LedgerSetting =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "memory" }
  | ({ readonly kind: "firestore" } & FirestoreSetting);

export interface FirestoreSetting {
  /** Undefined: the project of the Google credentials. */
  readonly projectId?: string;
  /** Undefined: `(default)`. */
  readonly databaseId?: string;
  /** Host and port; undefined: the real one. */
  readonly emulatorHost?: string;
}

/** How each kind is written, for whoever wrote it otherwise. */
export const ledgerForms =
  "`file:PATH`, e.g. `file:.landfall/ledger.db`, `memory:`, or `firestore:PROJECT/DATABASE`, of which each part may be left out";

const databaseForm = /^(\(default\)|[a-z0-9][a-z0-9-]{2,61}[a-z0-9])$/;

/**
 * @param google what Google's own libraries are told by the environment
 * @returns `undefined` for a text that is none of `ledgerForms`
 */
export function parseLedger(
  text: string,
  google: { readonly project?: string | undefined; readonly firestoreEmulatorHost?: string | undefined } = {},
): LedgerSetting | undefined {
  const [, kind, rest = ""] = /^([a-z]+):(.*)$/.exec(text) ?? [];
  if (kind === "memory" && rest === "") return { kind };
  if (kind === "file" && rest !== "") return { kind, path: rest };
  if (kind !== "firestore") return undefined;
  const [project = "", database, ...more] = rest.split("/");
  if (more.length > 0 || (project !== "" && !/^[a-z][a-z0-9.:-]*$/.test(project))) return undefined;
  if (database !== undefined && !databaseForm.test(database)) return undefined;
  const emulatorHost = google.firestoreEmulatorHost;
  const projectId = project || google.project || (emulatorHost === undefined ? undefined : "demo-landfall");
  return {
    kind,
    ...(projectId === undefined ? {} : { projectId }),
    ...(database === undefined ? {} : { databaseId: database }),
    ...(emulatorHost === undefined ? {} : { emulatorHost }),
  };
}
