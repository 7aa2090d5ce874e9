// Loaded before anything else, and plain JavaScript on purpose: an older Node must be able to read it.
import * as nodeModule from "node:module";

const major = Number(process.versions.node.split(".")[0]);
if (major < 24) {
  process.stderr.write(
    `landfall needs Node 24 or newer; this is ${process.versions.node}.\n` +
      "npm brings Node 24 with this project on Linux and Windows: run `npm ci`, then `npm start` or `npx landfall`.\n" +
      "Elsewhere, or where optional packages are left out, install Node 24 from your usual source.\n",
  );
  process.exit(2);
}
// Node keeps what it has read and compiled, of the sources too: a command starts in half the time.
nodeModule.enableCompileCache();
