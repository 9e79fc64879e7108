/** The manifests, drawn together as kubectl does it and checked by Kubernetes' own schemas. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { mustRun, runProgram } from "@tidemark/testkit";
import { testWith } from "@tidemark/testkit/outside";
import { describe, expect } from "vitest";
import { deploy, environmentOf, type Resource, type Role, readResources, workloadIn } from "../src/manifests.ts";
import { settingsFrom } from "../src/settings.ts";
import { kubectlValidateMs, needKubectlValidate, needKustomize, withFolder } from "./tools.ts";

const kubernetesVersion = "1.30";
const folders = ["base", "overlays/single", "overlays/raft", "overlays/raft/format", "overlays/etcd"];

const drawnTogether = async (folder: string) =>
  mustRun(await needKustomize(), ["build", join(deploy, "kubernetes", folder)]);

async function validate(manifests: string): Promise<{ readonly code: number; readonly said: string }> {
  const program = await needKubectlValidate();
  return withFolder(async (folder) => {
    const file = join(folder, "all.yaml");
    writeFileSync(file, manifests);
    const { code, stdout, stderr } = await runProgram(program, ["--version", kubernetesVersion, file]);
    return { code, said: `${stdout.toString()}${stderr}` };
  });
}

describe.each(folders)("kubernetes/%s", (folder) => {
  testWith(
    "kubectl-validate",
    "is what Kubernetes' schemas take",
    async () => {
      const { code, said } = await validate(await drawnTogether(folder));
      expect(said).toContain("OK");
      expect(code, said).toBe(0);
    },
    kubectlValidateMs,
  );
});

const spoils = [
  { says: "a number that is text", from: "replicas: 3", to: "replicas: three", told: "replicas" },
  { says: "a field of no schema", from: "enableServiceLinks:", to: "enableServiceLink:", told: "enableServiceLink" },
  {
    says: "a value that is not one of the known",
    from: "podManagementPolicy: Parallel",
    to: "podManagementPolicy: 3",
    told: "podManagementPolicy",
  },
  { says: "a selector that the pods do not match", from: "matchLabels:", to: "matchLabel:", told: "matchLabel" },
];

describe("a manifest that was spoiled", () => {
  for (const { says, from, to, told } of spoils) {
    testWith(
      "kubectl-validate",
      `by ${says} is refused, and by that name`,
      async () => {
        const sound = await drawnTogether("base");
        const spoiled = sound.replace(from, to);
        expect(spoiled).not.toBe(sound);
        const { code, said } = await validate(spoiled);
        expect(code).not.toBe(0);
        expect(said).toContain(told);
      },
      kubectlValidateMs,
    );
  }
});

/** What a role of an overlay reads of its settings, in its first pod. */
const settingsIn = (resources: readonly Resource[], role: Role) =>
  settingsFrom(role, environmentOf(role, workloadIn(resources, role)));

describe.each([
  { overlay: "single", backend: "single", controllers: 1 },
  { overlay: "raft", backend: "raft", controllers: 3 },
  { overlay: "etcd", backend: "etcd", controllers: 3 },
])("overlays/$overlay", ({ overlay, backend, controllers }) => {
  testWith(
    "kustomize",
    "gives every pod settings that fit the backend and the controllers that there are",
    async () => {
      const resources = readResources(await drawnTogether(`overlays/${overlay}`));
      expect(settingsIn(resources, "controller")["consensus.backend"]).toMatchObject({ name: backend });
      expect(workloadIn(resources, "controller").spec).toMatchObject({ replicas: controllers });
      const expected = Array.from({ length: controllers }, (_, n) => ({
        host: `controller-${n + 1}.controller.tidemark.svc`,
        port: 4651,
      }));
      for (const role of ["broker", "gateway"] as const) {
        expect(settingsIn(resources, role)["controller.endpoints"]).toEqual(expected);
      }
      expect(
        new Set(resources.filter(({ kind }) => kind !== "Namespace").map(({ metadata }) => metadata.namespace)),
      ).toEqual(new Set(["tidemark"]));
    },
  );
});
