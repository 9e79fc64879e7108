/** What Prometheus itself says of its settings and of the alerts. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mustRun, runProgram } from "@tidemark/testkit";
import { testWith } from "@tidemark/testkit/outside";
import { describe, expect } from "vitest";
import { deploy } from "../src/manifests.ts";
import { needPromtool, withFolder } from "./tools.ts";

const observability = join(deploy, "observability");

describe("Prometheus", () => {
  testWith("promtool", "takes prometheus.yaml with the alerts", async () => {
    const said = await mustRun(await needPromtool(), ["check", "config", join(observability, "prometheus.yaml")]);
    expect(said).toMatch(/alerts\.yaml\n.*SUCCESS: \d+ rules found/);
  });

  testWith("promtool", "raises each alert for what it is about, and not before", async () => {
    const promtool = await needPromtool();
    const rules = join(deploy, "interop", "alerts.yaml");
    expect(await mustRun(promtool, ["test", "rules", rules])).toContain("SUCCESS");
    const names = readFileSync(join(observability, "alerts.yaml"), "utf8").matchAll(/alert: (\w+)/g);
    const tried = new Set(Array.from(readFileSync(rules, "utf8").matchAll(/alertname: (\w+)/g), ([, name]) => name));
    expect(tried).toEqual(new Set(Array.from(names, ([, name]) => name)));
  });
});

const spoils = [
  { says: "an expression that is none", file: "alerts.yaml", from: "sum(rate(", to: "sum(rate((", told: "parse" },
  { says: "a field of no schema", file: "prometheus.yaml", from: "rule_files", to: "rules_files", told: "rules_files" },
];

describe("a setting of Prometheus that was spoiled", () => {
  for (const { says, file, from, to, told } of spoils) {
    testWith("promtool", `by ${says} is refused, and by that name`, async () => {
      const promtool = await needPromtool();
      await withFolder(async (folder) => {
        cpSync(observability, folder, { recursive: true });
        writeFileSync(join(folder, file), readFileSync(join(folder, file), "utf8").replace(from, to));
        const { code, stdout, stderr } = await runProgram(promtool, [
          "check",
          "config",
          join(folder, "prometheus.yaml"),
        ]);
        expect(code).not.toBe(0);
        expect(`${stdout.toString()}${stderr}`).toContain(told);
      });
    });
  }
});
