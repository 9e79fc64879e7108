import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { formatProblems, gatewaySchema, loadConfig, otelEnvironment, type ProcessInputs } from "../index.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tidemark-config-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const needed = "controller.endpoints: [127.0.0.1:4651]\n";
const inputs = (given: Partial<ProcessInputs> = {}): ProcessInputs => ({
  flags: [],
  environment: {},
  workingDirectory: directory,
  ...given,
});
const levelOf = (given: ProcessInputs) => {
  const resolved = loadConfig(gatewaySchema, given);
  return resolved.ok ? resolved.config.values["log.level"] : formatProblems(resolved.problems);
};

test("tidemark.yaml in the working directory is read where there is one", () => {
  expect(levelOf(inputs())).toContain("controller.endpoints is required");
  writeFileSync(join(directory, "tidemark.yaml"), `${needed}log.level: warn\n`);
  expect(levelOf(inputs())).toBe("warn");
});

test("the flag --config names the file before the variable does, and the variable before the usual name", () => {
  for (const level of ["debug", "error", "fatal"]) {
    writeFileSync(join(directory, `${level}.yaml`), `${needed}log.level: ${level}\n`);
  }
  writeFileSync(join(directory, "tidemark.yaml"), `${needed}log.level: warn\n`);
  const environment = { TIDEMARK_CONFIG: "debug.yaml" };
  expect(levelOf(inputs({ environment }))).toBe("debug");
  expect(levelOf(inputs({ environment, flags: ["--config=error.yaml"] }))).toBe("error");
  expect(levelOf(inputs({ environment, flags: ["--config", join(directory, "fatal.yaml")] }))).toBe("fatal");
});

test("a file that was named and cannot be read is an error, beside whatever else is wrong", () => {
  const said = levelOf(inputs({ flags: ["--config=missing.yaml", "--log.level=loud"] }));
  expect(said).toContain("2 settings are wrong:");
  expect(said).toContain('The file of settings "missing.yaml" cannot be read (ENOENT).');
  expect(said).toContain('log.level = "loud"');
});

test("a directory in the place of the usual file is an error", () => {
  expect(levelOf(inputs({ flags: [`--config=${directory}`] }))).toContain("cannot be read (EISDIR)");
});

test("the variables of OpenTelemetry are handed on, and only those", () => {
  expect(otelEnvironment(inputs({ environment: { OTEL_TRACES_SAMPLER: "always_on", HOME: "/" } }))).toEqual({
    OTEL_TRACES_SAMPLER: "always_on",
  });
});
