import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { type DevCluster, startDevCluster } from "../src/index.ts";
import { testWith } from "../src/outside.ts";
import { codeOf } from "./pages.ts";

/** Tells the test what stands on the page when it is done, or why it will never be. */
const reporter = `<script>
const report = (what) => fetch("/told", { method: "POST", body: what });
addEventListener("error", ({ message }) => report(message));
addEventListener("unhandledrejection", ({ reason }) => report(String(reason)));
new MutationObserver(() => {
  if (document.title === "done") report([...document.querySelectorAll("li")].map((each) => each.textContent).join("\\n"));
}).observe(document.querySelector("title"), { childList: true });
</script>`;

let cluster: DevCluster;
let site: Server;
let origin: string;
let onTold: (text: string) => void = () => undefined;

beforeAll(async () => {
  const page = codeOf("browser.md", "html").replace("<script", `${reporter}<script`);
  site = createServer((request, response) => {
    if (request.method === "GET") {
      response.setHeader("content-type", "text/html").end(page);
      return;
    }
    let text = "";
    request.on("data", (piece: Buffer) => {
      text += piece.toString();
    });
    request.on("end", () => {
      response.end();
      onTold(text);
    });
  });
  await new Promise<void>((resolve) => {
    site.listen(0, "127.0.0.1", resolve);
  });
  origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
  cluster = await startDevCluster({ brokers: 1, env: { TIDEMARK_GATEWAY_CORS_ORIGINS: origin } });
});

afterAll(async () => {
  site.closeAllConnections();
  site.close();
  await cluster.stop();
});

/** What the page tells, as a browser runs it. */
async function openPage(from: string): Promise<readonly string[]> {
  const profile = mkdtempSync(join(tmpdir(), "tidemark-chromium-"));
  const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"];
  const quiet = ["--disable-background-networking", `--user-data-dir=${profile}`];
  const told = new Promise<string>((resolve) => {
    onTold = resolve;
  });
  const url = `${from}/#http://${cluster.endpoint("gateway-1")}`;
  const browser = spawn("chromium", [...flags, ...quiet, url], { stdio: "ignore", detached: true });
  const ended = new Promise<never>((_, reject) => {
    browser.on("exit", (code) => reject(new Error(`The browser ended with ${code}`)));
  });
  try {
    return (await Promise.race([told, ended])).split("\n");
  } finally {
    browser.removeAllListeners("exit");
    const gone = new Promise((resolve) => browser.once("exit", resolve));
    if (browser.pid !== undefined) process.kill(-browser.pid, "SIGKILL");
    await gone;
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

describe("the page for browsers, in a headless Chromium, of another origin than the gateway", () => {
  testWith("chromium", "makes a topic, produces, follows it, and reads a typed error", async () => {
    expect(await openPage(origin)).toEqual(["stored at 0", "0 hello", '1 {"n":1}', "REASON_UNKNOWN_TOPIC"]);
  });

  testWith("chromium", "is let in only where the gateway names its origin", async () => {
    const [told] = await openPage(origin.replace("127.0.0.1", "localhost"));
    expect(told).toContain("Failed to fetch");
  });
});
