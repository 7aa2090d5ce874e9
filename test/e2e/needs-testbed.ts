/*
 * Loaded before each file of end-to-end tests: without real systems all of them fail with this message, and none is
 * skipped. What only some tests need is asked for by `testbed.ts` when it is used.
 */
const needed: Readonly<Record<string, string>> = {
  TESTBED_REGISTRY: "an open registry, host:port, plain HTTP",
  TESTBED_REGISTRY_AUTH: "a registry with a password, host:port, plain HTTP",
  TESTBED_REGISTRY_LOG: "the file that the open registry logs its requests to",
  TESTBED_BASE_IMAGE: "an image in the open registry that runs for ever, with busybox in it",
  TESTBED_DOCKER_HOST: "unix:///… of a Swarm manager's Docker engine",
  TESTBED_DOCKER_TLS_HOST: "tcp://host:port of the same engine",
  TESTBED_DOCKER_CERT_PATH: "the folder of ca.pem, cert.pem and key.pem for it",
};

const missing = Object.entries(needed).filter(([name]) => (process.env[name] ?? "") === "");
if (missing.length > 0) {
  const list = missing.map(([name, what]) => `  ${name}: ${what}`).join("\n");
  throw new Error(
    `the end-to-end tests run against real systems, and these are not set (CONTRIBUTING.md tells more):\n${list}`,
  );
}
