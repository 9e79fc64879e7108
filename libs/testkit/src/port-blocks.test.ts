import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { takePortBlock } from "./port-blocks.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tidemark-port-blocks-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const last = () => 139;

/** As by a process that was killed. */
function leave(name: string) {
  const { pid } = spawnSync(process.execPath, ["--version"]);
  writeFileSync(join(folder, name), String(pid));
}

it("is not given to anybody else until it is released", () => {
  const [one, two] = [takePortBlock(folder, last), takePortBlock(folder, last)];
  expect([one.basePort, two.basePort]).toEqual([25_900, 12_000]);
  one.release();
  expect(takePortBlock(folder, last).basePort).toBe(25_900);
});

it("is free again when the process that took it is gone", () => {
  leave("25900");
  expect(takePortBlock(folder, last).basePort).toBe(25_900);
  expect(readdirSync(folder)).toEqual(["25900"]);
});

it("is left to who frees it just now, where the process that took it is gone", () => {
  leave("25900");
  writeFileSync(join(folder, "25900.lock"), String(process.pid));
  expect(takePortBlock(folder, last).basePort).toBe(12_000);
});

it("needs no name of the user: one in a container may have none", () => {
  const program = `
    require("node:os").userInfo = () => { throw new Error("there is no such user"); };
    require("node:module").syncBuiltinESMExports();
    import(${JSON.stringify(new URL("./port-blocks.ts", import.meta.url).href)}).then(({ takePortBlock }) => {
      process.stdout.write(String(takePortBlock(process.argv[1], () => 0).basePort));
    });
  `;
  const { stdout, stderr } = spawnSync(process.execPath, ["-e", program, folder], { encoding: "utf8" });
  expect(stdout, stderr).toBe("12000");
});

it("is refused in words when all are taken", () => {
  for (let block = 0; block < 140; block++) takePortBlock(folder);
  expect(() => takePortBlock(folder)).toThrow("No block of ports is left");
});
