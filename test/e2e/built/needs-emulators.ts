/* Loaded before each file of tests of what is deployed: without the emulators all of them fail with this message. */
const needed: Readonly<Record<string, string>> = {
  FIRESTORE_EMULATOR_HOST: "host:port of a running Firestore emulator",
  PUBSUB_EMULATOR_HOST: "host:port of a running Pub/Sub emulator",
};

const missing = Object.entries(needed).filter(([name]) => (process.env[name] ?? "") === "");
if (missing.length > 0) {
  const list = missing.map(([name, what]) => `  ${name}: ${what}`).join("\n");
  throw new Error(
    `the built folders run on Firestore and Pub/Sub, and these are not set (README.md tells more):\n${list}`,
  );
}
