/** Namespaces of those who deploy: whoever changes what runs there changes who deploys everything else. */
const reserved = /^(?:kube-.*|argocd|flux-system|openshift-gitops)$/;

/** The lists that show every workload in scope: one of the whole cluster (`undefined`), or one a namespace. */
export function scopesOf(namespaces: readonly string[]): readonly (string | undefined)[] {
  return namespaces.includes("*") ? [undefined] : [...new Set(namespaces)];
}

/** Whether workloads of that namespace may be deployed to; `*` means none of the cluster's own. */
export function isInScope(namespaces: readonly string[], namespace: string): boolean {
  return namespaces.includes(namespace) || (namespaces.includes("*") && !reserved.test(namespace));
}
