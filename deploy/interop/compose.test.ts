/** The compose files, read by the loader that Docker's compose is made with. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runProgram } from "@tidemark/testkit";
import { testWith } from "@tidemark/testkit/outside";
import { describe, expect } from "vitest";
import { composeNames, deploy } from "../src/manifests.ts";
import { needCompose, withFolder } from "./tools.ts";

describe.each(composeNames)("compose/%s.yaml", (name) => {
  testWith("compose", "is read with its included files, and with no variable set", async () => {
    const { code, stderr } = await runProgram(await needCompose(), [join(deploy, "compose", `${name}.yaml`)]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
  });
});

const spoils = [
  { says: "a field of no schema", from: "stop_grace_period", to: "stop_grace_time", told: "stop_grace_time" },
  { says: "a volume that nobody declared", from: '"broker-2:/data"', to: '"broker-9:/data"', told: "broker-9" },
  {
    says: "a variable that must be set",
    from: "TIDEMARK_CLUSTER_ID:-",
    to: "TIDEMARK_CLUSTER_ID:?",
    told: "CLUSTER_ID",
  },
];

describe("a compose file that was spoiled", () => {
  for (const { says, from, to, told } of spoils) {
    testWith("compose", `by ${says} is refused, and by that name`, async () => {
      const program = await needCompose();
      await withFolder(async (folder) => {
        cpSync(join(deploy, "compose"), folder, { recursive: true });
        const file = join(folder, "raft.yaml");
        const sound = readFileSync(file, "utf8");
        writeFileSync(file, sound.replaceAll(from, to));
        const { code, stderr } = await runProgram(program, [file]);
        expect(code).toBe(1);
        expect(stderr).toContain(told);
      });
    });
  }
});
