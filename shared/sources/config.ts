import * as z from "zod/mini";
import { RepositoryGlob } from "../domain/repository-glob.ts";
import { type ImplementedSource, sources } from "./index.ts";

const sourceNames = Object.keys(sources) as ImplementedSource[];
const Host = z
  .string()
  .check(
    z.regex(/^[^\s/@]+$/, "is no registry host; write it with its port if it has one, e.g. `core:8080`"),
  );
const SecretTemplate = z
  .string()
  .check(z.minLength(1, "is empty; name the variable or file that holds the secret"));

/** One entry of `webhooks`: who may report pushes, and of what. */
export const WebhookConfig = z.strictObject({
  source: z.enum(sourceNames).check(z.describe("What sends the deliveries.")),
  secrets: z
    .array(SecretTemplate)
    .check(
      z.minLength(1, "is empty; a webhook without a secret would admit nobody"),
      z.maxLength(2, "holds more than two secrets; two are for rotation, the old and the new"),
      z.describe(
        "What deliveries prove themselves with, at least 16 bytes each, e.g. `${DOCKERHUB_HOOK_SECRET}` or `${file:/secrets/hook}`. Two may be valid at once, for rotation.",
      ),
    ),
  repositories: z.optional(
    z
      .array(RepositoryGlob)
      .check(
        z.minLength(1, "is empty; name a repository, or leave the key away to allow all"),
        z.describe("What these secrets may speak for, e.g. `docker.io/acme/*`. Left away: everything."),
      ),
  ),
  hostAliases: z.optional(
    z
      .record(Host, Host)
      .check(
        z.describe(
          "The host that the sender reports, and the one that `follow` and the workloads name, e.g. `core:8080` and `registry.acme.io`.",
        ),
      ),
  ),
});
export type WebhookConfig = z.infer<typeof WebhookConfig>;
