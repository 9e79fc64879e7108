// eslint-disable-next-line no-restricted-imports -- the scripts are data of this test, not of the product
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { runScript } from "./testing/script.ts";
import { backends } from "./testing/stores.ts";

const folder = join(import.meta.dirname, "scripts");
const names = readdirSync(folder).filter((name) => name.endsWith(".script"));
// eslint-disable-next-line no-restricted-properties -- says how the tests run; no setting of the product
const rewrites = process.env["TIDEMARK_TEST_REWRITE"] === "1";

describe.each(backends)("on %s a script of the controller shows what it says", (backend, open) => {
  it.each(names)("%s", async (name) => {
    const path = join(folder, name);
    const expected = readFileSync(path, "utf8");
    const happened = await runScript(expected, open);
    // What is written is what the first of them shows: the others are held to it.
    if (rewrites && backend === backends[0]?.[0]) writeFileSync(path, happened);
    else expect(happened).toBe(expected);
  });
});

it("there is at least one script, and more than one backend", () => {
  expect(names.length).toBeGreaterThan(0);
  expect(backends.length).toBeGreaterThan(1);
});
