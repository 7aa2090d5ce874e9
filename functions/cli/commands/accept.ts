import type { ImageDocument } from "../../../shared/ledger/image-document.ts";
import { ambiguous } from "../address.ts";
import type { Command } from "../command.ts";
import { readEvents, readImages } from "../history.ts";
import { readImage, repositoriesMeant } from "../image-name.ts";
import { giveOrder, orderMessage, orderOptions, reasonOf } from "../ordering.ts";
import { ago } from "../render/time.ts";
import { shortCommit, shortDigest } from "../render/words.ts";

export const accept: Command = {
  name: "accept",
  summary: "say that a build is the head of its image now, whatever git says",
  parameters: "IMAGE:COMMIT|IMAGE:TAG",
  maxArguments: 1,
  options: orderOptions,
  help: `After a force-push, or when \`git.url\` became another repository, git cannot tell any more what is newer than the head:
every build is held back. Only a person can say where to go on. The build becomes the head; channels and workloads go
there; the builds that were held back are judged against it, and later ones as usual.

It works for builds that are on record, which \`landfall list IMAGE\` shows: held-back ones too. A build older than the
head can be accepted as well: what runs goes back to it, until something newer than it is built or published again.`,
  examples: [
    [
      "accept gcr.io/acme/api:840ee5a432444a504020e1ec3b25e2e3f4763e7b --reason 'history was rewritten'",
      "go on from this commit",
    ],
    ["accept api:v1.7-rebuilt --dry-run", "from what to what?"],
  ],
  async run(call, context) {
    const [asked] = call.arguments;
    const image = asked === undefined || asked.includes("@") ? undefined : readImage(asked);
    if (asked === undefined || image === undefined) {
      return {
        kind: "usage",
        text: "Say which build, by its tag or commit, e.g. accept gcr.io/acme/api:COMMIT",
      };
    }
    if (image.kind === "invalid")
      return { kind: "usage", text: `\`${asked}\` is no image: ${image.reason}.` };
    const { tag } = image;
    if (tag === undefined)
      return { kind: "usage", text: `\`${asked}\` has no tag: write IMAGE:COMMIT or IMAGE:TAG.` };
    const said = reasonOf(call);
    if ("kind" in said) return said;
    return giveOrder(call, context, async (open) => {
      const ledger = await open();
      const images = await readImages(ledger);
      const [repository, ...others] = repositoriesMeant(
        image,
        new Set(images.map((each) => each.repository)),
      );
      if (others.length > 0) return ambiguous(asked, [repository, ...others]);
      const document = images.find((each) => each.repository === repository);
      const built = document?.builds.find((each) => each.tag === tag || each.commit === tag);
      if (document === undefined || built === undefined) {
        const where =
          document === undefined
            ? "`landfall status` lists images"
            : `\`landfall list ${repository}\` shows those that are`;
        return { kind: "failed", text: `No build ${tag} of ${repository} is on record: ${where}.` };
      }
      const nowMs = context.clock.now();
      const events = await readEvents(ledger, { repository }, nowMs);
      const heldBack = events.filter(({ outcome, build }) => outcome === "held-back" && build !== undefined);
      const { head } = document;
      return {
        subject: `${repository}: accept`,
        rows: [
          [
            "head",
            `${headText(document)} -> ${shortCommit(built.commit ?? built.tag)}@${shortDigest(built.digest)}`,
          ],
          ...(head === undefined ? [] : [["since", ago(head.acceptedMs, nowMs)] as const]),
          ["judged anew", heldBack.length === 0 ? "no build is held back" : `${heldBack.length} held back`],
        ],
        preview: { image: repository, from: head ?? null, to: built, heldBack: heldBack.map(({ id }) => id) },
        isSo: head?.digest === built.digest && head.commit === built.commit,
        messages: [orderMessage({ do: "accept", image: repository, tag, ...said })],
        image: repository,
      };
    });
  },
};

function headText({ head }: ImageDocument): string {
  return head === undefined ? "none" : `${shortCommit(head.commit)}@${shortDigest(head.digest)}`;
}
