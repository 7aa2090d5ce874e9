import { randomUUID } from "node:crypto";
import type { Digest } from "../../../../shared/domain/reference.ts";

/** One envelope of Distribution's notifications, with one event, as version 3 sends them. */
export interface PushEnvelope {
  readonly events: readonly PushEvent[];
}

interface PushEvent {
  readonly id: string;
  readonly timestamp: string;
  readonly action: "push" | "mount";
  readonly target: {
    readonly mediaType: string;
    readonly digest: Digest;
    readonly size: number;
    readonly length: number;
    readonly repository: string;
    readonly fromRepository?: string;
    readonly url: string;
    readonly tag?: string;
  };
  readonly request: {
    readonly id: string;
    readonly addr: string;
    readonly host: string;
    readonly method: string;
    readonly useragent: string;
  };
  readonly actor: { readonly name?: string };
  readonly source: { readonly addr: string; readonly instanceID: string };
}

/** What the events of one request have in common. */
export interface EventOrigin {
  /** As the client named the registry. */
  readonly host: string;
  readonly method: string;
  readonly userAgent: string;
  readonly actor: string;
}

export interface EventSubject {
  readonly action: "push" | "mount";
  readonly repository: string;
  readonly digest: Digest;
  readonly size: number;
  /** Absent for a blob. */
  readonly mediaType?: string;
  readonly tag?: string;
  readonly from?: string;
}

const instanceID = randomUUID();

export function pushEnvelope(origin: EventOrigin, subject: EventSubject): PushEnvelope {
  const { repository, digest, size, mediaType, tag, from } = subject;
  const kind = mediaType === undefined ? "blobs" : "manifests";
  return {
    events: [
      {
        id: randomUUID(),
        timestamp: new Date().toISOString(),
        action: subject.action,
        target: {
          mediaType: mediaType ?? "application/octet-stream",
          digest,
          size,
          length: size,
          repository,
          ...(from === undefined ? {} : { fromRepository: from }),
          url: `http://${origin.host}/v2/${repository}/${kind}/${digest}`,
          ...(tag === undefined ? {} : { tag }),
        },
        request: {
          id: randomUUID(),
          addr: "127.0.0.1",
          host: origin.host,
          method: origin.method,
          useragent: origin.userAgent,
        },
        actor: origin.actor === "" ? {} : { name: origin.actor },
        source: { addr: origin.host, instanceID },
      },
    ],
  };
}
