import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { root } from "./repository.ts";

const packages = globSync(["{libs,services}/*/package.json", "deploy/package.json"], { cwd: root }).map((file) =>
  dirname(file),
);

test.for(packages)("%s has its types checked, and is linted itself", (folder) => {
  const { scripts } = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  expect(scripts.typecheck).toMatch(/^tsc -p \.( && tsc -p \S+)*$/);
  expect(scripts.lint).toBe(
    `cd ${folder.includes("/") ? "../.." : ".."} && eslint --config libs/tooling/eslint.config.js ${folder}`,
  );
});
