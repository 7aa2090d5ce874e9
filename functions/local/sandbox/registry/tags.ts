import type { Answer, FaultKind } from "./faults.ts";
import { type Call, failure, json, unsupported } from "./protocol.ts";
import type { RegistryStore } from "./store.ts";

/**
 * The tags of a repository: all at once and in no order, whatever `n` and `last` say, as Distribution 2.8 does; in
 * pages where that fault is on.
 */
export function tagList(
  store: RegistryStore,
  name: string,
  call: Call,
  fault: FaultKind | undefined,
): Answer {
  if (call.method !== "GET") return unsupported();
  if (!store.has(name))
    return failure(404, "NAME_UNKNOWN", "repository name not known to registry", { name });
  const tags = store.tags(name);
  if (fault?.kind !== "paging") return json(200, { name, tags: tags.length === 0 ? null : tags });

  const { searchParams, pathname, search } = call.url;
  const last = searchParams.get("last") ?? searchParams.get("next_page") ?? "";
  const rest = tags.filter((tag) => tag > last).sort();
  const page = rest.slice(0, fault.size);
  const end = encodeURIComponent(page.at(-1) ?? "");
  const next = `${pathname}?last=${end}&n=${fault.size}`;
  const links = {
    relative: next,
    absolute: `http://${call.header("host")}${next}`,
    "other-parameter": `${pathname}?next_page=${end}`,
    foreign: `http://other.example${next}`,
    loop: `${pathname}${search}`,
  };
  const more = rest.length > page.length || fault.link === "loop";
  return json(200, { name, tags: page }, more ? { link: `<${links[fault.link]}>; rel="next"` } : {});
}
