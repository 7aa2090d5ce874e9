import * as z from "zod/mini";
import type { Clock } from "../../clock.ts";
import { BusUnavailableError, messageOf } from "../../errors.ts";
import type { Answer, Caller } from "./call.ts";

/** Whom Landfall calls Pub/Sub as. */
export interface Identity {
  /** The project that names without one are in. @throws BusUnavailableError */
  project(deadlineMs: number): Promise<string>;
  /** An OAuth access token; undefined where none is asked for. @throws BusUnavailableError */
  token(deadlineMs: number): Promise<string | undefined>;
  /** A token was refused: the next one is another. */
  forget(token: string): void;
}

/** The emulator asks for nothing, and takes any project. */
export function emulatorIdentity(project: string | undefined): Identity {
  return {
    project: async () => {
      if (project === undefined) {
        throw new BusUnavailableError(
          "GOOGLE_CLOUD_PROJECT is not set: the emulator knows no project of its own",
        );
      }
      return project;
    },
    token: async () => undefined,
    forget: () => {},
  };
}

const AccessToken = z.object({ access_token: z.string().check(z.minLength(1)), expires_in: z.number() });

/** The metadata server hands out a new token when the last one has five minutes left. */
const renewBeforeMs = 5 * 60_000;

/**
 * The service account of the instance, by its metadata server:
 * https://cloud.google.com/compute/docs/access/authenticate-workloads#applications. Callers at the same time share one
 * request.
 */
export function metadataIdentity(options: {
  readonly caller: Caller;
  readonly clock: Pick<Clock, "now">;
  readonly project: string | undefined;
  /** Host, perhaps with port. */
  readonly host: string | undefined;
}): Identity {
  const { caller, clock } = options;
  const host = options.host ?? "metadata.google.internal";
  let token: { readonly asked: Promise<string>; value?: string; untilMs: number } | undefined;
  let project = options.project;

  async function ask(path: string, deadlineMs: number): Promise<string> {
    let answer: Answer;
    try {
      answer = await caller.call({
        method: "GET",
        url: `http://${host}/computeMetadata/v1/${path}`,
        headers: { "metadata-flavor": "Google" },
        deadlineMs,
      });
    } catch (error) {
      throw new BusUnavailableError(
        `the metadata server ${host} cannot be asked (${messageOf(error)}); it is there on Google Cloud only: elsewhere pull with \`pubsub-pull:\``,
        { cause: error },
      );
    }
    if (answer.headers["metadata-flavor"] !== "Google") {
      throw new BusUnavailableError(
        `${host} is no metadata server: it answered ${answer.status} without \`Metadata-Flavor\``,
      );
    }
    if (answer.status !== 200) {
      throw new BusUnavailableError(
        `the metadata server answered ${answer.status} for ${path}${answer.status === 404 ? ": this instance has no service account" : ""}`,
      );
    }
    return answer.body;
  }

  async function askToken(deadlineMs: number): Promise<{ readonly value: string; readonly lastsMs: number }> {
    const body = await ask("instance/service-accounts/default/token", deadlineMs);
    const parsed = AccessToken.safeParse(jsonOf(body));
    if (!parsed.success) throw new BusUnavailableError("the metadata server answered without a token");
    return { value: parsed.data.access_token, lastsMs: parsed.data.expires_in * 1_000 };
  }

  return {
    project: async (deadlineMs) => {
      project ??= (await ask("project/project-id", deadlineMs)).trim();
      return project;
    },
    token: (deadlineMs) => {
      if (token !== undefined && clock.now() < token.untilMs) return token.asked;
      const asking = askToken(deadlineMs);
      const entry: NonNullable<typeof token> = {
        asked: asking.then(({ value }) => value),
        untilMs: Number.POSITIVE_INFINITY,
      };
      token = entry;
      asking.then(
        ({ value, lastsMs }) => {
          entry.value = value;
          entry.untilMs = clock.now() + lastsMs - renewBeforeMs;
        },
        () => {
          if (token === entry) token = undefined;
        },
      );
      return entry.asked;
    },
    forget: (refused) => {
      if (token?.value === refused) token = undefined;
    },
  };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
