/** What a compose file asks of the container engine for its services, beside the settings of the processes. */
import { describe, expect, test } from "vitest";
import { type ComposeName, composeFile, composeNames, composeProcesses } from "./manifests.ts";
import { settingsFrom } from "./settings.ts";

const isFormat = (service: string) => service.startsWith("format-");

describe.each([...composeNames, "observability"] as const)("every service of compose/%s.yaml", (name) => {
  const { services, volumes = {} } = composeFile(name);
  const lasting = Object.entries(services).filter(([service]) => !isFormat(service));

  test("comes back after it has crashed, and with the machine", () => {
    for (const [service, { restart }] of lasting) expect([service, restart]).toEqual([service, "unless-stopped"]);
  });

  test("is of a version that is said, which others of its kind have too", () => {
    const images = [...new Set(Object.values(services).map(({ image }) => image))];
    for (const image of images) expect(image).toMatch(/:v?\d+\.\d+\.\d+$/);
    expect(new Set(images.map((image) => image.replace(/:[^:]*$/, ""))).size).toBe(images.length);
  });

  test("waits for services that are there", () => {
    for (const { depends_on: others = [] } of Object.values(services))
      for (const other of others) expect(Object.keys(services)).toContain(other);
  });

  test("writes to a volume that nobody else writes to, and that compose makes", () => {
    const named = lasting.flatMap(([, { volumes: mounts = [] }]) => mounts.filter((mount) => !mount.startsWith(".")));
    for (const mount of named) expect(mount).toMatch(/^[\w-]+:[^:]+$/);
    expect(new Set(named.map((mount) => mount.split(":")[0])).size).toBe(named.length);
    for (const volume of Object.values(volumes)) expect(volume).toEqual({});
  });
});

interface Listener {
  readonly host: string;
}

describe.each(composeNames)("a process of compose/%s.yaml", (name: ComposeName) => {
  const { services } = composeFile(name);
  const processes = composeProcesses(name).map((process) => ({
    ...process,
    settings: settingsFrom(process.role, process.environment),
  }));

  test("is started as its image says, in the network of all, with nothing kept from it", () => {
    const held = ["build", "image", "environment", "volumes", "ports", "depends_on", "restart", "stop_grace_period"];
    for (const process of processes)
      expect(held, process.name).toEqual(expect.arrayContaining(Object.keys(services[process.name] ?? {})));
  });

  test("listens where other containers reach it", () => {
    for (const { name: process, settings } of processes) {
      const all = [...(settings.listeners as readonly Listener[]), settings["metrics.listener"] as Listener];
      expect({ process, hosts: new Set(all.map(({ host }) => host)) }).toEqual({
        process,
        hosts: new Set(["0.0.0.0"]),
      });
    }
  });

  test("keeps metadata in the backend that the file is named after", () => {
    const controllers = processes.filter(({ role }) => role === "controller");
    expect(controllers.length).toBeGreaterThan(0);
    for (const { settings } of controllers) expect(settings["consensus.backend"]).toMatchObject({ name });
  });

  test("has the settings of all that do the same, but for its name and number", () => {
    const common = new Map<string, Readonly<Record<string, string>>>();
    for (const { role, name: process, environment } of processes) {
      const own = Object.entries({ ...environment, TIDEMARK_NODE_ID: "" });
      const ofAll = Object.fromEntries(own.map(([key, value]) => [key, value.replaceAll(`//${process}:`, "//self:")]));
      expect({ process, ...ofAll }).toEqual({ process, ...(common.get(role) ?? ofAll) });
      common.set(role, ofAll);
    }
  });
});
