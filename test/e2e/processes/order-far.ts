import { systemClock } from "../../../shared/clock.ts";
import { type Commit, isCommit } from "../../../shared/domain/commit.ts";
import { gitHost } from "../../../shared/history/git/git.ts";
import { httpClient } from "../../../shared/http.ts";

// node order-far.ts BASE FROM TO: compares two commits of /large.git; prints what they are and the most memory used.
const [, , base = "", ...ids] = process.argv;
const [from, to] = ids.filter(isCommit) as [Commit, Commit];
const host = gitHost({ base, client: httpClient(), clock: systemClock, deadlineMs: 60_000 });
const relation = await host.relation("https://git.example/large.git", from, to);
await host.close();
process.stdout.write(JSON.stringify({ relation, maxRssMiB: process.resourceUsage().maxRSS / 1024 }));
