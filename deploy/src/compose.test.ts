import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import {
  type ComposeName,
  composeFile,
  composeNames,
  composeProcesses,
  deploy,
  type ManifestProcess,
} from "./manifests.ts";
import { settingsFrom } from "./settings.ts";

const settingsOf = ({ role, environment }: ManifestProcess) => settingsFrom(role, environment);

const listenersOf = (process: ManifestProcess, key = "listeners") =>
  settingsOf(process)[key] as readonly { readonly name: string; readonly host: string; readonly port: number }[];

describe.each(composeNames)("compose/%s.yaml", (name: ComposeName) => {
  const processes = composeProcesses(name);
  const services = composeFile(name).services;

  test("gives every process settings that it takes", () => {
    expect(processes.map((process) => settingsOf(process)["node.id"])).toEqual(
      processes.map((process) => Number(process.name.split("-")[1])),
    );
  });

  test("advertises each process under its own name and the ports where it listens", () => {
    for (const process of processes) {
      const ports = listenersOf(process).map((listener) => [listener.name, listener.port]);
      const advertised = listenersOf(process, "advertised.listeners");
      expect(advertised.map((listener) => [listener.name, listener.port])).toEqual(ports);
      expect(new Set(advertised.map((listener) => listener.host))).toEqual(new Set([process.name]));
    }
  });

  test("names every controller's internal listener to brokers and gateways", () => {
    const internal = processes
      .filter(({ role }) => role === "controller")
      .map((process) => listenersOf(process, "advertised.listeners").find((listener) => listener.name === "internal"));
    const expected = internal.map((listener) => ({ host: listener?.host, port: listener?.port }));
    const others = processes.filter(({ role }) => role !== "controller");
    expect(others.length).toBeGreaterThan(0);
    for (const process of others) expect(settingsOf(process)["controller.endpoints"]).toEqual(expected);
  });

  test("keeps what a process writes in a volume of its own", () => {
    for (const process of processes.filter(({ role }) => role !== "gateway")) {
      const { "log.dirs": logs, "metadata.log.dir": metadata } = settingsOf(process);
      const folders = (logs ?? [metadata]) as readonly string[];
      for (const folder of folders)
        expect(process.volumes.some((volume) => folder.startsWith(`${volume}/`))).toBe(true);
    }
    const mounted = Object.values(services).flatMap(({ volumes = [] }) =>
      volumes.map((volume) => volume.split(":")[0]),
    );
    const named = Object.keys(composeFile(name).volumes ?? {});
    expect(new Set(named)).toEqual(new Set(mounted.filter((volume) => !volume?.startsWith("."))));
  });

  test("lets a broker hand its leaderships over before it is killed", () => {
    for (const process of processes.filter(({ role }) => role === "broker")) {
      expect(process.graceMs).toBeGreaterThan(settingsOf(process)["controlled.shutdown.max.ms"] as number);
    }
  });

  test("builds images from files that copy what pack:service writes", () => {
    for (const { build } of Object.values(services)) {
      if (build === undefined) continue;
      const file = join(deploy, "compose", build.context, build.dockerfile);
      const packed = /deploy\/images\/(\w+)\.Containerfile/.exec(build.dockerfile)?.[1] ?? "";
      expect(existsSync(file)).toBe(true);
      expect(readFileSync(file, "utf8")).toContain(`COPY dist/${packed} /opt/tidemark`);
    }
  });

  test("is watched by Prometheus, process by process", () => {
    const { scrape_configs: jobs } = parse(readFileSync(join(deploy, "observability", "prometheus.yaml"), "utf8")) as {
      scrape_configs: { dns_sd_configs: { names: string[]; port: number }[] }[];
    };
    const watched = jobs.flatMap(({ dns_sd_configs }) => dns_sd_configs);
    for (const process of processes) {
      const metrics = settingsOf(process)["metrics.listener"] as { readonly port: number };
      const found = watched.find(({ names }) => names.includes(process.name));
      expect(found?.port).toBe(metrics.port);
    }
  });
});

test("the backends differ in nothing but the backend and the number of controllers and gateways", () => {
  const of = (name: ComposeName, process: string) => {
    const environment = composeProcesses(name).find((each) => each.name === process)?.environment ?? {};
    return Object.entries(environment).filter(([key]) => !/CONSENSUS_BACKEND|CONTROLLER_ENDPOINTS/.test(key));
  };
  for (const process of ["controller-1", "broker-1", "broker-3", "gateway-1"]) {
    expect(of("raft", process)).toEqual(of("single", process));
    expect(of("etcd", process)).toEqual(of("single", process));
  }
});
