// eslint-disable-next-line no-restricted-imports -- the scripts are data of this test, not of the product
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { runScript } from "./testing/script.ts";

const folder = join(import.meta.dirname, "scripts");
// eslint-disable-next-line no-restricted-properties -- says how the tests run; no setting of the product
const rewrites = process.env["TIDEMARK_TEST_REWRITE"] === "1";

describe("a script of the controller shows what it says", () => {
  const names = readdirSync(folder).filter((name) => name.endsWith(".script"));

  it.each(names)("%s", async (name) => {
    const path = join(folder, name);
    const expected = readFileSync(path, "utf8");
    const happened = await runScript(expected);
    if (rewrites) writeFileSync(path, happened);
    else expect(happened).toBe(expected);
  });

  it("and there is at least one", () => {
    expect(names.length).toBeGreaterThan(0);
  });
});
