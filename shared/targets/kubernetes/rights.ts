/** What a 403 of the API server refuses: https://kubernetes.io/docs/reference/access-authn-authz/rbac/. */
interface Refusal {
  readonly user: string;
  readonly verb: string;
  readonly resource: string;
  /** Empty for the core group. */
  readonly group: string;
  /** `undefined`: the whole cluster. */
  readonly namespace: string | undefined;
}

const refused =
  /User "([^"]*)" cannot (\w+) resource "([^"]+)" in API group "([^"]*)"(?: in the namespace "([^"]+)"| at the cluster scope)/;
/** What can be put into a shell's command line as it is. */
const plain = /^[\w.:@-]+$/;

/**
 * What a person can do about a 403, with verb, resource and namespace, and what to apply; `undefined` for one that is
 * none of RBAC's, such as an admission webhook's.
 * @param message of the Status that the API server answered with
 */
export function rightsAdvice(message: string): string | undefined {
  const refusal = refusalOf(message);
  if (refusal === undefined) return undefined;
  const { user, verb, resource, group, namespace } = refusal;
  const what = `${verb} ${resource}${group === "" ? "" : `.${group}`}`;
  const where = namespace === undefined ? "in all namespaces" : `in the namespace ${namespace}`;
  if (user === "system:anonymous") {
    return `the call came in without credentials (${what} ${where}): something before the API server took them away, or the server does not know their kind`;
  }
  return `${user} may not ${what} ${where}: ${remedy(refusal)}`;
}

function remedy({ user, verb, resource, namespace }: Refusal): string {
  if (verb === "delete" && resource === "pods") {
    const at = namespace === undefined ? "in that namespace" : `with kubectl -n ${namespace}`;
    return `apply infra/kubernetes/delete-pods.yaml ${at}`;
  }
  const role = "apply infra/kubernetes/role.yaml";
  const bind = plain.test(user) ? `, then \`${binding(user, namespace)}\`` : " and bind it to that user";
  const narrower = namespace === undefined ? "; or list the namespaces it may read in `namespaces`" : "";
  return `${role}${bind}${narrower}`;
}

function binding(user: string, namespace: string | undefined): string {
  const [, account] = /^system:serviceaccount:([^:]+:[^:]+)$/.exec(user) ?? [];
  const subject = account === undefined ? `--user=${user}` : `--serviceaccount=${account}`;
  return namespace === undefined
    ? `kubectl create clusterrolebinding landfall --clusterrole=landfall ${subject}`
    : `kubectl -n ${namespace} create rolebinding landfall --clusterrole=landfall ${subject}`;
}

function refusalOf(message: string): Refusal | undefined {
  const [, user, verb, resource, group, namespace] = refused.exec(message) ?? [];
  if (user === undefined || verb === undefined || resource === undefined || group === undefined) {
    return undefined;
  }
  return { user, verb, resource, group, namespace };
}
