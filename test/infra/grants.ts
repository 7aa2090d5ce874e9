import { isObject, type Json, type Module, type Resource } from "./module.ts";

/** That an account may do something. */
export interface Grant {
  /** `webhook`, `builds`, `reconcile`, or the resource's own name for it: `push`, `allUsers`. */
  readonly to: string;
  readonly role: string;
  /** What it holds on: `google_pubsub_topic.landfall`, `project`, `function webhook`. */
  readonly on: string;
}

const iam = /^google_\w+_iam_(?:member|binding|policy)$/;

/**
 * Every role that the module gives, spelt out.
 * @throws Error for one that is written in a way this cannot read: a grant must not go unseen
 */
export function grantsOf(module: Module): readonly Grant[] {
  return module.resources
    .filter(({ type }) => iam.test(type))
    .flatMap(({ type, name, body }) => {
      const at = `${type}.${name}`;
      if (!type.endsWith("_iam_member")) throw new Error(`${at}: only single members are given roles here`);
      const role = textOf(body.role, at);
      return membersOf(body, module, at).map((to) => ({ to, role, on: holdsOn(body, at) }));
    });
}

function membersOf(body: Resource["body"], module: Module, at: string): readonly string[] {
  const member = textOf(body.member, at);
  const each = body.for_each;
  const [, account, , one, own] =
    /^\$\{google_service_account\.(\w+)(\[(?:"(\w+)"|(each\.key))\])?\.member\}$/.exec(member) ?? [];
  if (one !== undefined) return [one];
  if (own !== undefined && each === "${local.functions}") return functionsOf(module);
  if (own !== undefined && typeof each === "string") {
    const [, list] = /^\$\{toset\(\[(.*)\]\)\}$/.exec(each) ?? [];
    if (list !== undefined) return [...list.matchAll(/"(\w+)"/g)].map(([, name = ""]) => name);
  }
  if (own === undefined && account !== undefined) return [account];
  const known = written.find((way) => way.member === member && way.each === each);
  if (known !== undefined) return [known.to];
  if (/^\w+$/.test(member)) return [member];
  throw new Error(`${at}: member ${member} for each ${JSON.stringify(each)} is not understood`);
}

/** Members that are known only when Terraform runs. */
const written: readonly { readonly member: string; readonly each?: string; readonly to: string }[] = [
  {
    member: "${google_service_account.function[each.value.function].member}",
    each: "${local.secret_readers}",
    to: "readers",
  },
  {
    member: "${google_service_account.function[each.value.function].member}",
    each: "${local.gke_accounts}",
    to: "gke",
  },
  {
    member: "${google_service_account.function[each.value.function].member}",
    each: "${local.gke_gateways}",
    to: "gke",
  },
  { member: "${local.pubsub_agent}", to: "pubsub_agent" },
  { member: "${local.pubsub_agent}", each: "${google_pubsub_subscription.builds}", to: "pubsub_agent" },
  { member: "${each.key}", each: "${var.operators}", to: "operators" },
];

export function functionsOf(module: Module): readonly string[] {
  return isObject(module.locals.functions) ? Object.keys(module.locals.functions) : [];
}

function holdsOn(body: Resource["body"], at: string): string {
  const target = ["service", "topic", "subscription", "secret_id", "bucket", "repository", "project"].find(
    (key) => body[key] !== undefined,
  );
  if (target === undefined) throw new Error(`${at}: gives a role on nothing that is known`);
  if (target === "project") return "project";
  const text = textOf(body[target], at);
  const [, called] = /^\$\{google_cloudfunctions2_function\.function\["(\w+)"\]\.name\}$/.exec(text) ?? [];
  if (called !== undefined) return `function ${called}`;
  if (text === "${each.value.name}") return `${textOf(body.for_each, at).slice(2, -1)}`;
  const [, resource] = /^\$\{(google_\w+\.\w+)(?:\[[^\]]+\])?\.\w+\}$/.exec(text) ?? [];
  if (resource === undefined) throw new Error(`${at}: ${text} is not understood`);
  return resource;
}

function textOf(value: Json | undefined, at: string): string {
  if (typeof value !== "string") throw new Error(`${at}: expected a text, got ${JSON.stringify(value)}`);
  return value;
}
