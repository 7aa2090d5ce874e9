import * as z from "zod/mini";
import { described } from "../described.ts";
import { PolicyText } from "../domain/policy.ts";
import { RepositoryGlob } from "../domain/repository-glob.ts";
import { GitHostConfig } from "../history/config.ts";
import { NotifierConfig } from "../notify/config.ts";
import { RegistryConfig } from "../registry/config.ts";
import { WebhookConfig } from "../sources/config.ts";
import { targetConfigs } from "../targets/config.ts";
import { isCron } from "./cron.ts";
import { Duration } from "./duration.ts";
import { ImageConfig } from "./images.ts";

const Verify = z.strictObject({
  timeout: described(
    z.prefault(Duration, "10m"),
    "How long a rollout may take to prove itself before it has failed, e.g. `10m`.",
  ),
  stableFor: described(
    z.prefault(Duration, "15s"),
    "How long the same tasks must run before a rollout has succeeded; never less than the target's own window.",
  ),
});

const Defaults = z.strictObject({
  policy: described(
    z.prefault(PolicyText, "tag"),
    "How workloads without a label `landfall.policy` follow their image, e.g. `tag` (a push of their tag is deployed), `semver:^1.4` or `none`.",
  ),
  mode: described(
    z._default(z.enum(["act", "observe"]), "act"),
    "For targets without a mode of their own: `act` deploys, `observe` records what it would have deployed.",
  ),
  verify: described(z.prefault(Verify, {}), "When a rollout counts as succeeded."),
  rollback: described(
    z._default(z.boolean(), true),
    "Whether a workload whose rollout fails is brought back to the last digest that was verified.",
  ),
  maxDriftShare: described(
    z._default(z.number().check(z.minimum(0, "expected 0 or more"), z.maximum(1, "expected at most 1")), 0.2),
    "Share of a target's images that a full run may find changed without any event, from 0 to 1; above it (and 3 images) nothing is deployed until a person approves.",
  ),
  maxParallel: described(
    z._default(
      z.int().check(z.minimum(1, "expected 1 or more"), z.maximum(1000, "expected at most 1000")),
      4,
    ),
    "Workloads of one target that may be rolling out at once.",
  ),
});

const Freeze = z.strictObject({
  targets: described(
    z.optional(
      z.array(filled()).check(z.minLength(1, "is empty; name at least one target, or leave it away")),
    ),
    "Targets that it holds for; without it all.",
  ),
  cron: described(
    z
      .string()
      .check(z.refine(isCron, "is no cron expression of five fields that ever begins, e.g. `0 18 * * 5`")),
    "When it begins: minute, hour, day, month, weekday, e.g. `0 18 * * 5` on Fridays at 18:00.",
  ),
  duration: described(Duration, "How long it lasts, e.g. `60h`, of elapsed time."),
  timezone: described(
    z.string().check(z.refine(isTimezone, "is no time zone, e.g. `Europe/Berlin` or `UTC`")),
    "The time zone in which `cron` is read.",
  ),
});

const targetKinds = Object.values(targetConfigs);
type AnyTargetKind = (typeof targetKinds)[number];
const TargetConfig = z.discriminatedUnion("kind", targetKinds as [AnyTargetKind, ...AnyTargetKind[]]);

const CallerProof = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: described(z.literal("google-oidc"), "An OIDC token signed by Google, as Cloud Scheduler sends it."),
    audience: described(filled(), "The token's `aud`, usually the URL of the reconcile function."),
    email: described(
      filled(),
      "The service account that may call, e.g. `scheduler@my-project.iam.gserviceaccount.com`.",
    ),
  }),
  z.strictObject({
    kind: described(z.literal("bearer"), "A shared token in `Authorization: Bearer …`."),
    token: described(filled(), "The token, e.g. `${RECONCILE_TOKEN}` or `${file:/secrets/reconcile-token}`."),
  }),
]);
/** One way in which a caller of the reconcile function can prove itself. */
export type CallerProof = z.infer<typeof CallerProof>;

const Reconcile = z.strictObject({
  auth: described(
    z._default(z.array(CallerProof), []),
    "Who may call the reconcile function; any one proof is enough. Empty: nobody.",
  ),
});

/** `landfall.yaml`: exactly the keys that act in this version, durations in ms. */
export const Config = z.strictObject({
  follow: described(
    z.array(RepositoryGlob).check(z.minLength(1, "is empty; name at least one, e.g. `docker.io/acme/*`")),
    "What Landfall may deploy: repositories with their registry's host; `*` stands for any characters. All else is skipped.",
  ),
  webhooks: described(
    z._default(z.array(WebhookConfig), []),
    "Who may report pushes, and with which secrets.",
  ),
  registries: described(
    z._default(z.array(RegistryConfig), []),
    "Credentials and addresses of registries, by exact host. A registry that is not listed is asked without credentials.",
  ),
  git: described(
    z._default(z.array(GitHostConfig), []),
    "Credentials and addresses of git hosts, by exact host. A host that is not listed is asked without credentials.",
  ),
  targets: described(z._default(z.array(TargetConfig), []), "Where workloads run."),
  images: described(
    z._default(z.array(ImageConfig), []),
    "Images with an order or rules of their own; of several entries that match an image the first counts.",
  ),
  freezes: described(
    z._default(z.array(Freeze), []),
    "Times in which nothing is deployed; rollbacks are, and what was missed is looked at when they end.",
  ),
  notify: described(z._default(z.array(NotifierConfig), []), "Who is told what; nobody, where it is empty."),
  defaults: described(z.prefault(Defaults, {}), "What holds where nothing nearer says otherwise."),
  reconcile: described(z.prefault(Reconcile, {}), "The reconcile function."),
});
export type Config = z.infer<typeof Config>;

/** The configuration file's JSON Schema (draft 2020-12), for editors and for `landfall config schema`. */
export function configJsonSchema(): z.core.JSONSchema.JSONSchema {
  return z.toJSONSchema(Config, { io: "input", unrepresentable: "any" });
}

function isTimezone(name: string): boolean {
  try {
    Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

function filled() {
  return z.string().check(z.minLength(1, "is empty"));
}
