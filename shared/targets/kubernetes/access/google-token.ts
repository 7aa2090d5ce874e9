import { GoogleAuth } from "google-auth-library";

/** Where access tokens of Google come from. */
export interface GoogleTokens {
  /** A token that is good for some minutes at least. */
  token(): Promise<string>;
  /** The next token is asked for anew. */
  forget(): void;
}

/** By the second, RBAC sees the account's address and not only its number. */
const scopes = [
  "https://www.googleapis.com/auth/cloud-platform",
  "https://www.googleapis.com/auth/userinfo.email",
];

/**
 * Tokens of the application's default credentials: the instance's service account, or what
 * `GOOGLE_APPLICATION_CREDENTIALS` names. The library keeps one until five minutes before its end. In a file of its own
 * so that the library is loaded late.
 * @param projectId any: the library has no use for it here, but not told one it looks for it with `gcloud`
 */
export function googleTokens(projectId: string): GoogleTokens {
  let auth: GoogleAuth | undefined;
  return {
    token: async () => {
      auth ??= new GoogleAuth({ scopes, projectId });
      const token = await auth.getAccessToken();
      if (!token) throw new Error("Google's credentials gave no access token");
      return token;
    },
    forget: () => {
      auth = undefined;
    },
  };
}
