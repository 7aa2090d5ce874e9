import { environment, type LoadedConfig, loadConfig, missingSecrets } from "../../../shared/config/load.ts";
import { ConfigError } from "../../../shared/errors.ts";
import { secretProblem } from "../../../shared/sources/hook-secret.ts";
import type { Command } from "../command.ts";
import { columns } from "../render/table.ts";
import { took } from "../render/time.ts";

const defaultFile = "landfall.yaml";

/** What is missing; when all is there, which webhook secret cannot be used. */
function secretProblems(loaded: LoadedConfig): readonly string[] {
  const missing = missingSecrets(loaded);
  if (missing.length > 0) return missing;
  return loaded.config.webhooks.flatMap(({ secrets }, webhook) =>
    secrets.flatMap((secret, index) => {
      const problem = secretProblem(loaded.secret(secret)());
      return problem === undefined ? [] : [`webhooks[${webhook}].secrets[${index}]: ${problem}`];
    }),
  );
}

export const configCheck: Command = {
  name: "config check",
  summary: "check a configuration file and tell everything that is wrong with it",
  parameters: "[FILE]",
  maxArguments: 1,
  options: {
    secrets: {
      type: "boolean",
      about: "Also look up every ${NAME} and ${file:...}, as on the machine that will run it.",
    },
  },
  help: `Reads FILE, else the file of LANDFALL_CONFIG, else ${defaultFile}. Every problem is told at once, by key and
line, with what to write instead. No value of the file is ever printed: it may be a secret.`,
  examples: [
    ["config check", `check ${defaultFile} here`],
    ["config check deploy/landfall.yaml --json", "in CI, with the problems as data"],
    ["config check --secrets", "on the machine itself: are all variables and files there?"],
  ],
  async run(call, { env }) {
    const path = call.arguments[0] ?? environment(env).config ?? defaultFile;
    try {
      const loaded = await loadConfig({ path, ...(env === undefined ? {} : { env }) });
      const wrong = call.options.secrets === true ? secretProblems(loaded) : [];
      if (wrong.length > 0) throw new ConfigError(wrong);
      const { follow, webhooks, registries, git, targets, images, defaults, freezes, notify } = loaded.config;
      const counts = {
        webhooks: webhooks.length,
        registries: registries.length,
        git: git.length,
        targets: targets.length,
        images: images.length,
        freezes: freezes.length,
        notify: notify.length,
      };
      const rows = [
        ["follows", follow.join(", ")],
        ["webhooks", webhooks.map(({ source }) => source).join(", ") || "none: pushes cannot be reported"],
        [
          "registries",
          registries.map(({ host }) => host).join(", ") || "none: all are asked without credentials",
        ],
        [
          "targets",
          targets.map(({ name, kind, mode }) => `${name} (${kind}, ${mode ?? defaults.mode})`).join(", ") ||
            "none: nothing is deployed",
        ],
        [
          "git",
          git.map(({ host, kind }) => `${host} (${kind})`).join(", ") || "none: asked without credentials",
        ],
        [
          "images",
          images
            .map(({ image, channels }) => [image, ...channels.map(({ tag }) => tag)].join(" "))
            .join(", ") || "none with an order or rules of their own",
        ],
        [
          "freezes",
          freezes
            .map(
              (freeze) =>
                `${freeze.targets?.join(" ") ?? "all"} from ${freeze.cron} ${freeze.timezone} for ${took(freeze.duration)}`,
            )
            .join(", ") || "none",
        ],
        ["notify", notify.map(({ kind }) => kind).join(", ") || "none: nobody is told anything"],
        ["hash", loaded.hash],
      ];
      return {
        kind: "done",
        text: `${path} is fine.\n${columns(rows, "  ")}`,
        json: { file: path, hash: loaded.hash, ...counts, problems: [] },
      };
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      const { problems } = error;
      const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
      return {
        kind: "failed",
        text: `${path} has ${count}:\n${columns(
          problems.map((problem) => [problem]),
          "  ",
        )}`,
        json: { file: path, problems },
      };
    }
  },
};
