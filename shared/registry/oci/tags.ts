import { isTag } from "../../domain/reference.ts";
import { RegistryResponseError } from "../../errors.ts";
import { headerOf } from "../../http.ts";
import { readJson } from "../../json.ts";
import { codesOf, type RegistryClient } from "./client.ts";
import { TagList } from "./schema.ts";

const pageSize = 1_000;
const maxPages = 200;

/**
 * Every tag of a repository; none when it is not there. Follows the `Link` headers as they come, since registries
 * page by parameters of their own, but never to another host.
 */
export async function allTags(client: RegistryClient, path: string): Promise<readonly string[]> {
  const { reach } = client;
  const what = `GET the tags of ${path}`;
  const tags = new Set<string>();
  const asked = new Set<string>();
  let url: string | undefined = `${reach.origin}/v2/${path}/tags/list?n=${pageSize}`;
  while (url !== undefined && !asked.has(url)) {
    if (asked.size >= maxPages) {
      throw new RegistryResponseError(`${reach.host} answered ${what} with more than ${maxPages} pages`);
    }
    asked.add(url);
    const answer = await client.call({
      method: "GET",
      url,
      access: { path, actions: "pull" },
      until: reach.clock.monotonic() + reach.deadlineMs,
      what,
    });
    if (answer.status === 404) break;
    const page = answer.status === 200 ? readJson(TagList, answer.body) : undefined;
    if (page === undefined) {
      throw new RegistryResponseError(
        `${reach.host} answered ${what} with ${answer.status}${codesOf(answer)}`,
      );
    }
    for (const tag of page.tags ?? []) if (isTag(tag)) tags.add(tag);
    url = nextPage(client, headerOf(answer, "link"), url, what);
  }
  return [...tags];
}

function nextPage(
  { reach }: RegistryClient,
  link: string | undefined,
  from: string,
  what: string,
): string | undefined {
  const target = /<([^>]*)>\s*;[^,]*\brel="?next\b/i.exec(link ?? "")?.[1];
  if (target === undefined) return undefined;
  const next = URL.parse(target, from);
  // Behind a proxy an absolute link may name http, or the public host where `url` is configured: the path counts.
  if (next === null || ![new URL(reach.origin).host, reach.host].includes(next.host)) {
    throw new RegistryResponseError(`${reach.host} answered ${what} with a next page on another host`);
  }
  return `${reach.origin}${next.pathname}${next.search}`;
}
