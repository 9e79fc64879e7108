// eslint-disable-next-line no-restricted-imports -- scripts are files of this folder, which a test may rewrite
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runScript } from "./run-script.ts";

// eslint-disable-next-line no-restricted-properties -- a switch of the test run, not a setting
const rewrites = process.env["TIDEMARK_TEST_REWRITE"] === "1";
const folder = import.meta.dirname;
const scripts = readdirSync(folder).filter((file) => file.endsWith(".script"));

describe("scripts give the traces that they expect (TIDEMARK_TEST_REWRITE=1 rewrites them)", () => {
  test.each(scripts)("%s", (file) => {
    const path = join(folder, file);
    const text = readFileSync(path, "utf8");
    const ran = runScript(text);
    if (rewrites) writeFileSync(path, ran);
    else expect(ran).toBe(text);
  });
});
