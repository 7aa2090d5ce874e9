import { GoogleAuth } from "google-auth-library";
import { BusUnavailableError, messageOf } from "../../errors.ts";
import type { Identity } from "./identity.ts";

/** Whoever the machine's Application Default Credentials are of. */
export interface DefaultIdentity extends Identity {
  /** The service account's address; a person's is in no credentials. */
  email(): Promise<string | undefined>;
}

/** The part of Google's library that is used here. */
type Auth = Pick<GoogleAuth, "getProjectId" | "getAccessToken"> & {
  getCredentials(): Promise<{ readonly client_email?: string }>;
};

/**
 * A key file, workload identity federation, `gcloud auth application-default login`, or the instance's own account:
 * https://cloud.google.com/docs/authentication/application-default-credentials.
 */
export function defaultIdentity(auth: Auth): DefaultIdentity {
  const asked = async <T>(ask: () => Promise<T>): Promise<T> => {
    try {
      return await ask();
    } catch (error) {
      throw new BusUnavailableError(
        `there are no Application Default Credentials that work: ${firstLine(error)}`,
        { cause: error },
      );
    }
  };
  return {
    project: () => asked(() => auth.getProjectId()),
    token: () => asked(async () => (await auth.getAccessToken()) ?? undefined),
    forget: () => {},
    email: async () => (await auth.getCredentials().catch(() => undefined))?.client_email,
  };
}

/** Google's own words; what a token server says may go on for lines. */
function firstLine(error: unknown): string {
  return (messageOf(error).split("\n")[0] ?? "").slice(0, 300);
}

/** @param project of names without one, where it is known: finding it out may take a call of `gcloud` */
export function machineIdentity(project: string | undefined): DefaultIdentity {
  const scopes = ["https://www.googleapis.com/auth/pubsub"];
  return defaultIdentity(
    new GoogleAuth({ scopes, ...(project === undefined ? {} : { projectId: project }) }),
  );
}
