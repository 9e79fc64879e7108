import { expect, test } from "vitest";
import { controllerSchema, readSources, renderConfig } from "./index.ts";

const rendered = () => {
  const resolved = readSources(controllerSchema, {
    file: {
      name: "tidemark.yaml",
      text: "node.id: 3\nconsensus.etcd.username: tidemark\nconsensus.etcd.password: hunter2\n",
    },
    environment: { TIDEMARK_LOG_LEVEL: "warn" },
    flags: ["--metadata.log.dir=meta"],
    baseDirectory: "/base",
  });
  return resolved.ok ? renderConfig(resolved.config) : [];
};

test("a printed configuration has every setting once, in the order of the keys", () => {
  const keys = rendered().map(({ key }) => key);
  expect(keys).toEqual(Object.keys(controllerSchema.settings).sort());
});

test("a printed configuration shows each value, its default and where it came from", () => {
  const byKey = new Map(rendered().map((row) => [row.key, row]));
  expect(byKey.get("node.id")).toMatchObject({ value: "3", source: "tidemark.yaml:1", defaultValue: "" });
  expect(byKey.get("log.level")).toMatchObject({
    value: "warn",
    source: "variable TIDEMARK_LOG_LEVEL",
    defaultValue: "info",
  });
  expect(byKey.get("metadata.log.dir")).toMatchObject({ value: "/base/meta", source: "flag --metadata.log.dir" });
  expect(byKey.get("listeners")?.value).toBe("client://127.0.0.1:4650,internal://127.0.0.1:4651");
  expect(byKey.get("cluster.id")).toMatchObject({ value: "", source: "default" });
});

test("a printed configuration hides secrets", () => {
  expect(rendered().find(({ key }) => key === "consensus.etcd.password")?.value).toBe("***");
  expect(JSON.stringify(rendered())).not.toContain("hunter2");
});

test("every setting has a sentence and a form for the reference", () => {
  for (const [key, { doc, kind }] of Object.entries(controllerSchema.settings)) {
    expect(`${key}: ${doc}`).toMatch(/: [A-Za-z].*\.$/);
    expect(kind.form).not.toBe("");
  }
});
