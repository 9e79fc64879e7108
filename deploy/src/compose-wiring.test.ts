/** What the services of a compose file say of each other, and of the files that they mount. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import {
  type ComposeName,
  type ComposeService,
  composeFile,
  composeNames,
  composeProcesses,
  deploy,
  imageName,
} from "./manifests.ts";
import { settingsFrom } from "./settings.ts";

const watching = composeFile("observability").services;
const readObserved = (...path: readonly string[]) => readFileSync(join(deploy, "observability", ...path), "utf8");

interface CollectorSettings {
  readonly receivers: Readonly<
    Record<string, { readonly protocols: { readonly grpc: { readonly endpoint: string } } }>
  >;
  readonly processors: Readonly<Record<string, { readonly check_interval?: string; readonly limit_mib?: number }>>;
  readonly exporters: Readonly<
    Record<string, { readonly endpoint: string; readonly tls?: { readonly insecure?: boolean } }>
  >;
  readonly service: {
    readonly pipelines: Readonly<
      Record<string, Readonly<Record<"receivers" | "processors" | "exporters", readonly string[]>>>
    >;
  };
}
const collector = parse(readObserved("collector.yaml")) as CollectorSettings;

const mountsOf = ({ volumes = [] }: ComposeService) =>
  volumes.map((volume) => {
    const [source = "", target = "", mode = ""] = volume.split(":");
    return { source, target, mode };
  });

describe.each(composeNames)("in compose/%s.yaml", (name: ComposeName) => {
  const file = composeFile(name);
  const processes = composeProcesses(name);

  test("every image is built from its own program", () => {
    for (const [service, { image, build }] of Object.entries(file.services)) {
      if (build === undefined) continue;
      const program = service.startsWith("format-") ? "cli" : service.replace(/-\d+$/, "");
      expect([service, image]).toEqual([service, imageName(program)]);
      expect(build.dockerfile).toBe(`deploy/images/${program}.Containerfile`);
    }
  });

  test("traces go to the collector, where it takes them", () => {
    expect(file.include).toEqual(["observability.yaml"]);
    const port = collector.receivers.otlp?.protocols.grpc.endpoint.replace("0.0.0.0:", "");
    for (const { environment } of processes) {
      const variables = Object.entries(environment).filter(([key]) => key.startsWith("OTEL_"));
      expect(Object.fromEntries(variables)).toEqual({
        OTEL_EXPORTER_OTLP_ENDPOINT: `http://collector:${port}`,
        OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
        OTEL_TRACES_SAMPLER: "parentbased_traceidratio",
        OTEL_TRACES_SAMPLER_ARG: "0.01",
      });
    }
  });

  test("a gateway is reached from this machine alone, at the port where it listens", () => {
    const published = processes.flatMap((process) =>
      (file.services[process.name]?.ports ?? []).map((port) => ({ process, port })),
    );
    expect(published.map(({ process }) => process.role)).toEqual(
      processes.filter(({ role }) => role === "gateway").map(() => "gateway"),
    );
    for (const { process, port } of published) {
      const { listeners } = settingsFrom(process.role, process.environment);
      const [client] = listeners as readonly { readonly port: number }[];
      expect(port).toMatch(new RegExp(`^127\\.0\\.0\\.1:\\d+:${client?.port}$`));
    }
    expect(new Set(published.map(({ port }) => port)).size).toBe(published.length);
  });

  test("a process has time to end its calls and to close its logs after its leaderships have moved", () => {
    for (const process of processes) {
      const needed = settingsFrom(process.role, process.environment)["controlled.shutdown.max.ms"] as
        | number
        | undefined;
      expect(process.graceMs, process.name).toBeGreaterThanOrEqual((needed ?? 0) + 15_000);
    }
  });
});

test("each of the first voters is formatted in the volume of its controller, under its id", () => {
  const { services } = composeFile("raft");
  const controllers = composeProcesses("raft").filter(({ role }) => role === "controller");
  expect(Object.keys(services).filter((name) => name.startsWith("format-"))).toHaveLength(controllers.length);
  for (const { name, environment } of controllers) {
    const id = environment.TIDEMARK_NODE_ID;
    const format = services[`format-${id}`];
    expect(format?.volumes).toEqual(services[name]?.volumes);
    expect(format?.command).toEqual([
      "format",
      `--dir=${environment.TIDEMARK_METADATA_LOG_DIR}`,
      `--node-id=${id}`,
      // biome-ignore lint/suspicious/noTemplateCurlyInString: compose fills it in
      "--cluster-id=${TIDEMARK_CLUSTER_ID:-}",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: compose fills it in
      "--voters=${TIDEMARK_VOTERS:-}",
    ]);
    expect(format?.profiles, "not started with the cluster").toEqual(["format"]);
  }
});

test("each etcd knows all of them, and the controllers know where they answer", () => {
  const { services } = composeFile("etcd");
  const etcds = Object.entries(services).filter(([name]) => name.startsWith("etcd-"));
  const members = etcds.map(([name]) => `${name}=http://${name}:2380`).join(",");
  expect(etcds).toHaveLength(3);
  for (const [name, { command, volumes }] of etcds) {
    expect(command).toEqual([
      "etcd",
      `--name=${name}`,
      "--data-dir=/data/etcd",
      "--listen-client-urls=http://0.0.0.0:2379",
      `--advertise-client-urls=http://${name}:2379`,
      "--listen-peer-urls=http://0.0.0.0:2380",
      `--initial-advertise-peer-urls=http://${name}:2380`,
      `--initial-cluster=${members}`,
      "--initial-cluster-token=tidemark",
    ]);
    expect(volumes).toEqual([`${name}:/data`]);
  }
  const backend = `etcd://${etcds.map(([name]) => `${name}:2379`).join(",")}/tidemark`;
  for (const { role, environment } of composeProcesses("etcd"))
    if (role === "controller") expect(environment.TIDEMARK_CONSENSUS_BACKEND).toBe(backend);
});

describe("compose/observability.yaml", () => {
  test("mounts files that are there, to be read only, and starts programs with those that were mounted", () => {
    for (const [name, service] of Object.entries(watching)) {
      for (const { source, mode } of mountsOf(service)) {
        expect(existsSync(join(deploy, "compose", source)), `${name}: ${source}`).toBe(true);
        expect(mode).toBe("ro");
      }
      const targets = mountsOf(service).map(({ target }) => target);
      for (const argument of service.command ?? []) {
        const [, path] = /^--config(?:\.file)?=(.+)$/.exec(argument) ?? [];
        if (path !== undefined) expect(targets).toContain(path);
      }
    }
  });

  test("shows nothing to other machines", () => {
    const published = Object.values(watching).flatMap(({ ports = [] }) => ports);
    expect(published.length).toBeGreaterThan(0);
    for (const port of published) expect(port).toMatch(/^127\.0\.0\.1:/);
  });

  test("has Prometheus read its alerts, and keep exemplars", () => {
    const targets = mountsOf(watching.prometheus as ComposeService).map(({ target }) => target);
    const { rule_files: rules } = parse(readObserved("prometheus.yaml")) as { rule_files: readonly string[] };
    expect(rules).toEqual(["alerts.yaml"]);
    for (const rule of rules) expect(targets).toContain(`/etc/prometheus/${rule}`);
    expect(watching.prometheus?.command).toContain("--enable-feature=exemplar-storage");
  });

  test("has the collector pass traces on to Jaeger, through parts that are set up", () => {
    for (const { receivers, processors, exporters } of Object.values(collector.service.pipelines)) {
      expect(Object.keys(collector.receivers)).toEqual(expect.arrayContaining([...receivers]));
      expect(Object.keys(collector.processors)).toEqual(expect.arrayContaining([...processors]));
      expect(Object.keys(collector.exporters)).toEqual(expect.arrayContaining([...exporters]));
    }
    const { traces } = collector.service.pipelines;
    expect(traces?.receivers).toEqual(["otlp"]);
    // Jaeger's port knows no TLS unless it is given a certificate.
    expect(traces?.exporters.map((each) => collector.exporters[each])).toEqual([
      { endpoint: "jaeger:4317", tls: { insecure: true } },
    ]);
  });

  test("has the collector refuse spans before its memory ends, and not before it has any", () => {
    const [first = ""] = collector.service.pipelines.traces?.processors ?? [];
    const { check_interval: interval = "", limit_mib: limit = 0 } = collector.processors[first] ?? {};
    expect(first).toBe("memory_limiter");
    expect(interval).toMatch(/^[1-9]\d*s$/);
    // At rest it takes some sixty.
    expect(limit).toBeGreaterThan(120);
  });

  test("has Prometheus ask every process by its name, as panels and alerts call it", () => {
    const { scrape_configs: jobs } = parse(readObserved("prometheus.yaml")) as {
      scrape_configs: readonly {
        readonly dns_sd_configs: readonly { readonly type: string; readonly names: readonly string[] }[];
        readonly relabel_configs: readonly { source_labels: string[]; target_label: string; regex?: string }[];
      }[];
    };
    for (const { dns_sd_configs: named, relabel_configs: relabelled } of jobs) {
      // What a network of compose has unless it is asked for more.
      for (const { type } of named) expect(type).toBe("A");
      expect(relabelled).toContainEqual({ source_labels: ["__meta_dns_name"], target_label: "instance" });
      const role = relabelled.find(({ target_label: label }) => label === "role");
      for (const name of named.flatMap(({ names }) => names))
        expect(new RegExp(`^(?:${role?.regex})$`).exec(name)?.[1]).toBe(name.replace(/-\d+$/, ""));
    }
  });

  test("has Grafana find its data sources and dashboards", () => {
    const { datasources } = parse(readObserved("grafana", "provisioning", "datasources", "datasources.yaml")) as {
      datasources: readonly {
        readonly uid: string;
        readonly type: string;
        readonly url: string;
        readonly jsonData?: {
          readonly exemplarTraceIdDestinations: readonly { name: string; datasourceUid: string }[];
        };
      }[];
    };
    const containerPort = (name: string) => watching[name]?.ports?.[0]?.split(":").at(-1);
    for (const { type, url } of datasources) expect(url).toBe(`http://${type}:${containerPort(type)}`);
    // The name that services give to the trace's id in their exemplars.
    expect(datasources.flatMap(({ jsonData }) => jsonData?.exemplarTraceIdDestinations ?? [])).toEqual([
      { name: "trace_id", datasourceUid: datasources.find(({ type }) => type === "jaeger")?.uid },
    ]);
    // Who only views dashboards is shown no trace: Grafana opens it in Explore, which is for editors.
    expect(watching.grafana?.environment).toMatchObject({
      GF_AUTH_ANONYMOUS_ENABLED: "true",
      GF_AUTH_ANONYMOUS_ORG_ROLE: "Editor",
    });
    const targets = mountsOf(watching.grafana as ComposeService).map(({ target }) => target);
    expect(targets).toContain("/etc/grafana/provisioning");
    const { providers } = parse(readObserved("grafana", "provisioning", "dashboards", "dashboards.yaml")) as {
      providers: readonly { readonly options: { readonly path: string } }[];
    };
    expect(providers.length).toBeGreaterThan(0);
    for (const { options } of providers) expect(targets).toContain(options.path);

    const prometheus = datasources.filter(({ type }) => type === "prometheus").map(({ uid, type }) => ({ type, uid }));
    for (const dashboard of readdirSync(join(deploy, "observability", "grafana", "dashboards"))) {
      const used = readObserved("grafana", "dashboards", dashboard).matchAll(/"datasource":\s*(\{[^}]*\})/g);
      const sources = Array.from(used, ([, source = ""]) => JSON.parse(source) as unknown);
      expect(sources.length).toBeGreaterThan(0);
      for (const source of sources) expect(prometheus).toContainEqual(source);
    }
  });
});
