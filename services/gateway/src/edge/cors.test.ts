import { afterAll, beforeAll, expect, it } from "vitest";
import { startWorld, type World } from "../testing/world.ts";

const page = "https://shop.example";
let world: World;
beforeAll(async () => {
  world = await startWorld({ corsOrigins: [page] });
});
afterAll(() => world.stop());

const call = (method: string, init: RequestInit) =>
  globalThis.fetch(`http://127.0.0.1:${world.port}/tidemark.log.v1.LogService/${method}`, init);

const preflight = (origin: string) =>
  call("Fetch", {
    method: "OPTIONS",
    headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type" },
  });

it("pages of other origins may call where they are allowed to", async () => {
  const asked = await preflight(page);
  expect(asked.status).toBe(204);
  expect(asked.headers.get("access-control-allow-origin")).toBe(page);
  expect(asked.headers.get("access-control-allow-headers")?.toLowerCase()).toContain("connect-protocol-version");
  const answer = await call("Produce", {
    method: "POST",
    headers: { "content-type": "application/json", origin: page },
    body: JSON.stringify({ topic: "orders", partition: 0, records: [{ text: "hello" }] }),
  });
  expect(answer.status).toBe(200);
  expect(answer.headers.get("access-control-allow-origin")).toBe(page);
  expect(answer.headers.get("access-control-expose-headers")?.toLowerCase()).toContain("grpc-status");
});

it("pages of other origins may not call where they are not", async () => {
  const asked = await preflight("https://elsewhere.example");
  expect(asked.status).toBe(403);
  expect(asked.headers.get("access-control-allow-origin")).toBeNull();
});
