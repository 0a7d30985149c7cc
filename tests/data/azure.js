// An Azure-compatible server of blobs with an empty container named `bucket`: prints its port, and ends when its input
// does. Needs `azurite-blob` in the path.

const { spawn } = require("node:child_process");
const { createHmac } = require("node:crypto");

// What every emulator of Azure has: a name and a key that everybody knows.
const account = "devstoreaccount1";
const key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

const server = spawn("azurite-blob", ["--blobPort", "0", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]);
server.on("error", () => process.exit(1));
server.on("exit", () => process.exit(1));
process.stdin.on("end", () => server.kill()).resume();

let said = "";
server.stdout.on("data", async (text) => {
  said += text;
  const port = said.match(/listens on http:\/\/127\.0\.0\.1:(\d+)/)?.[1];
  if (!port) return;
  server.stdout.removeAllListeners("data").resume();
  const date = new Date().toUTCString();
  const headers = `x-ms-date:${date}\nx-ms-version:2021-08-06\n`;
  const place = `/${account}/${account}/bucket\nrestype:container`;
  const signed = createHmac("sha256", Buffer.from(key, "base64")).update(`PUT\n${"\n".repeat(11)}${headers}${place}`);
  const made = await fetch(`http://127.0.0.1:${port}/${account}/bucket?restype=container`, {
    method: "PUT",
    headers: {
      "x-ms-date": date,
      "x-ms-version": "2021-08-06",
      Authorization: `SharedKey ${account}:${signed.digest("base64")}`,
    },
  });
  if (!made.ok) {
    console.error(made.status, await made.text());
    server.kill();
    return;
  }
  console.log(port);
});
