import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Message } from "../../shared/bus/bus.ts";
import type { Repository } from "../../shared/domain/reference.ts";
import { RegistryUnavailableError, TargetUnavailableError } from "../../shared/errors.ts";
import { logLinear } from "../contracts/history-graphs.ts";
import { modelHistory } from "../doubles/model-history.ts";
import { type ImageWorld, imageWorld } from "./image-world.ts";
import { digestOf } from "./world.ts";

/*
 * What Skia's watcher did with the messages that its builders publish, here taken off the bus as they are: which commit
 * prod has, what runs, and which commit is known as the newest one.
 */
const image: Repository = "gcr.io/skia-public/fiddler";
const repo = "https://skia.googlesource.com/skia.git";

let here: ImageWorld;
beforeEach(() => {
  here = imageWorld({
    image,
    history: modelHistory(logLinear),
    workloads: { web: `${image}:prod@${digestOf("old")}` },
  });
});
afterEach(async () => {
  await here.close();
});

/** The message as `build_push_docker_image` sends it. */
async function built(tag: string, name: string = image): Promise<void> {
  const message = { image_name: name, tag, repo } as unknown as Message;
  await here.deliver(message, here.instance());
}

const push = (name: string) => here.registry.push(image, here.id(name), digestOf(name));
const nameOf = (digest: string | undefined) =>
  [...logLinear.commits.map(({ name }) => name), "old"].find((name) => digestOf(name) === digest);
const alerts = () => here.told.filter((each) => each.startsWith("alert"));

/** What prod has, what runs, what is known as the newest. */
async function state(): Promise<readonly (string | undefined)[]> {
  return [
    nameOf(here.registry.digestOf(image, "prod")),
    nameOf(here.target.imageOf("web")?.split("@")[1]),
    nameOf((await here.image())?.head?.digest),
  ];
}

interface Vector {
  readonly name: string;
  readonly before?: string;
  /** A commit by its name, or a tag. */
  readonly tag: string;
  readonly after: readonly (string | undefined)[];
  readonly alerts?: number;
  readonly prepare?: () => void;
}

async function play({ before, tag, prepare }: Vector, minutes: number): Promise<void> {
  if (before !== undefined) {
    push(before);
    await built(here.id(before));
    await here.settle();
  }
  const isCommit = logLinear.commits.some(({ name }) => name === tag);
  if (isCommit) push(tag);
  prepare?.();
  await built(isCommit ? here.id(tag) : tag);
  await here.minutes(minutes);
}

/** Calls to the registry that fail, as many as the watcher gives up after. */
function failing(method: "put", times: number): void {
  let left = times;
  here.befall = (call, phase) => {
    if (call.method === method && phase === "asked" && left-- > 0) throw new RegistryUnavailableError("500");
  };
}

describe("as the watcher does", () => {
  it.each<Vector>([
    { name: "a first commit is tagged, deployed and kept", tag: "c1", after: ["c1", "c1", "c1"] },
    { name: "the same commit again changes nothing", before: "c1", tag: "c1", after: ["c1", "c1", "c1"] },
    { name: "a child is tagged, deployed and kept", before: "c1", tag: "c4", after: ["c4", "c4", "c4"] },
    { name: "an older commit changes nothing", before: "c4", tag: "c1", after: ["c4", "c4", "c4"] },
    { name: "a try-job changes nothing", before: "c1", tag: "482077_3", after: ["c1", "c1", "c1"] },
    { name: "LogLinear c0, c8", before: "c0", tag: "c8", after: ["c8", "c8", "c8"] },
    { name: "LogLinear c5, c7", before: "c5", tag: "c7", after: ["c7", "c7", "c7"] },
    { name: "LogLinear c6, c7", before: "c6", tag: "c7", after: ["c7", "c7", "c7"] },
    { name: "LogLinear c8, c4", before: "c8", tag: "c4", after: ["c8", "c8", "c8"] },
    { name: "LogLinear c1, c2", before: "c1", tag: "c2", after: ["c2", "c2", "c2"] },
  ])("$name", async (vector) => {
    await play(vector, 5);
    expect(await state()).toEqual(vector.after);
    expect(alerts()).toEqual([]);
  });
});

describe("on purpose other than the watcher", () => {
  it.each<Vector>([
    {
      name: "a merge that contains what runs by its second parent is newer (it is ignored there)",
      before: "c2",
      tag: "c7",
      after: ["c7", "c7", "c7"],
    },
    {
      name: "a commit beside what runs is left, and a person hears of it (it is taken for older there)",
      before: "c2",
      tag: "c4",
      after: ["c2", "c2", "c2"],
      alerts: 1,
    },
    {
      name: "a commit that the repository does not have is waited for, then a person hears of it (one failure there, and the message is gone)",
      before: "c1",
      tag: "1".repeat(40),
      after: ["c1", "c1", "c1"],
      alerts: 1,
      prepare: () => here.registry.push(image, "1".repeat(40), digestOf("unknown")),
    },
    {
      name: "a tag that the registry refuses to move is tried again (it is given up after two tries there)",
      before: "c1",
      tag: "c4",
      after: ["c4", "c4", "c4"],
      prepare: () => failing("put", 3),
    },
    {
      name: "a first commit whose tag cannot be moved is tried again (it is taken for tagged for ever there)",
      tag: "c1",
      after: ["c1", "c1", "c1"],
      prepare: () => failing("put", 3),
    },
    {
      name: "a commit whose tag is not in the registry yet is waited for (the pull fails there)",
      before: "c1",
      tag: "c4",
      after: ["c4", "c4", "c4"],
      prepare: () => {
        here.registry.remove(image, here.id("c4"));
        here.befall = ({ reference }, phase) => {
          if (phase === "answered" && reference === here.id("c4")) push("c4");
        };
      },
    },
  ])("$name", async (vector) => {
    await play(vector, 30);
    expect(await state()).toEqual(vector.after);
    expect(alerts()).toHaveLength(vector.alerts ?? 0);
    expect(here.deadLetters).toEqual([]);
  });

  it("a deploy that fails is tried again until it is done (prod has moved there, and only the next commit deploys)", async () => {
    const prepare = () => {
      here.target.trouble = new TargetUnavailableError("kubectl failed");
    };
    await play({ name: "", before: "c1", tag: "c4", after: [], prepare }, 5);
    expect(await state()).toEqual(["c4", "c1", "c4"]);
    here.target.trouble = undefined;
    await here.minutes(20);
    expect(await state()).toEqual(["c4", "c4", "c4"]);
  });

  it("a dirty workload is left with its reason on record (skipped there, and counted as deployed)", async () => {
    here.target.remove("web");
    here.target.create("web", `${image}:2018-04-20T21_14_00Z-ann-840ee5a-dirty@${digestOf("old")}`);
    await play({ name: "", tag: "c4", after: [] }, 2);
    expect(await state()).toEqual(["c4", "old", "c4"]);
    expect(await here.buildEvent("c4")).toMatchObject({
      outcome: "head",
      verdicts: [expect.objectContaining({ kind: "skipped", reason: "dirty" })],
    });
  });

  it("a message that cannot be read is set aside with the reason (logged and gone there)", async () => {
    await here.deliver({ image_name: image } as unknown as Message, here.instance());
    expect(here.deadLetters).toEqual([expect.stringContaining("tag")]);
  });

  it("git is asked where the configuration says, whatever repository the message names (that one gets the token there)", async () => {
    const asked: string[] = [];
    const { order } = here.history;
    here.history.order = (at, from, to) => {
      asked.push(at.url);
      return order(at, from, to);
    };
    await play({ name: "", tag: "c1", after: [] }, 1);
    expect(new Set(asked)).toEqual(new Set(["https://git.example/web"]));
  });

  it("commits that finish in any order on many instances at once end at the newest one (they race there)", async () => {
    const names = ["c8", "c0", "c5", "c1", "c7", "c4"];
    for (const name of names) push(name);
    await Promise.all(names.map((name) => built(here.id(name))));
    await here.settle();
    expect(await state()).toEqual(["c8", "c8", "c8"]);
  });
});

describe("an image's name", () => {
  it.each([
    ["", "image"],
    ["gcr.io/skia-public/fiddler:prod", "image"],
    ["gcr.io/skia-public/docserver:123456", "image"],
  ])("%j is none: the message is set aside, where the watcher cuts it or ignores it", async (name, says) => {
    await built(here.id("c1"), name);
    expect(here.deadLetters).toEqual([expect.stringContaining(says)]);
    expect(await here.image()).toBeUndefined();
  });

  it("without a host is Docker Hub's, and followed only if the configuration says so", async () => {
    const message = { image_name: "debian", tag: here.id("c1"), repo } as unknown as Message;
    const follows = (repository: Repository) => repository.startsWith("gcr.io/skia-public/");
    await here.deliver(message, { ...here.instance(), follows });
    const [event] = await here.ledger.events({ nowMs: here.clock.now() }, 1);
    expect(event?.value).toMatchObject({
      outcome: "not-followed",
      build: { image: "docker.io/library/debian" },
    });
  });
});
