/** What the manifests say of each other: names, ports, volumes and rights that have to meet. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { consensusChoice } from "@tidemark/config";
import { AdminService } from "@tidemark/proto/admin/v1";
import { LogService } from "@tidemark/proto/log/v1";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import {
  composeProcesses,
  deploy,
  environmentOf,
  imageName,
  imageOf,
  kubernetesResources,
  podOf,
  type Role,
  roles,
  workloadOf,
} from "./manifests.ts";
import { settingsFrom } from "./settings.ts";

const settingsOf = (role: Role, number = 1) => settingsFrom(role, environmentOf(role, workloadOf(role), number));
const kustomization = (folder: string) =>
  parse(readFileSync(join(deploy, "kubernetes", folder, "kustomization.yaml"), "utf8")) as Readonly<
    Record<string, unknown>
  >;

interface Listener {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}
const listenersOf = (role: Role, key: string, number = 1) => settingsOf(role, number)[key] as readonly Listener[];

/** Where the first so many controllers are reached by those who need them. */
const controllers = (count: number) =>
  Array.from({ length: count }, (_, n) => {
    const internal = listenersOf("controller", "advertised.listeners", n + 1).find(({ name }) => name === "internal");
    return { host: internal?.host, port: internal?.port };
  });

interface Template {
  readonly metadata: { readonly labels: object; readonly annotations: Readonly<Record<string, string>> };
}
interface Claim {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly accessModes: readonly string[] };
}

/** Without a file system to write to, without a way to more rights. */
const confined = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
};

describe.each(roles)("a %s in Kubernetes", (role) => {
  const { spec } = workloadOf(role);
  const pod = podOf(workloadOf(role));
  const container = pod.containers[0];
  const { template, selector } = spec as { template: Template; selector: { matchLabels: object } };

  test("is found by its service under the ports where it listens", () => {
    const service = kubernetesResources(`base/${role}.yaml`).find(({ kind }) => kind === "Service");
    expect(service?.metadata.name).toBe(role);
    expect(spec.serviceName).toBe(role);
    expect(template.metadata.labels).toEqual(selector.matchLabels);
    expect(service?.spec.selector).toEqual(selector.matchLabels);
    const ports = service?.spec.ports as readonly { name: string; port: number }[];
    expect(ports.length).toBeGreaterThan(0);
    for (const { name, port, ...others } of ports) {
      expect(container?.ports).toContainEqual({ name, containerPort: port });
      // Whatever stands between passes HTTP/2 on without TLS where that is told, and may take it for HTTP/1 elsewhere.
      expect(others).toEqual(name === "metrics" ? {} : { appProtocol: "kubernetes.io/h2c" });
    }
    // Clients are led to those that are ready; pods of a quorum need each other before.
    expect(service?.spec.publishNotReadyAddresses ?? false).toBe(role !== "gateway");
    expect(service?.spec.type, "shown to nobody outside, since it is without TLS").toBeUndefined();
  });

  test("advertises the ports where it listens", () => {
    const portsOf = (key: string) => listenersOf(role, key).map(({ name, port }) => [name, port]);
    expect(portsOf("advertised.listeners")).toEqual(portsOf("listeners"));
    expect(kustomization("base").namespace).toBe("tidemark");
  });

  test("is told to Prometheus at the port of its metrics", () => {
    const { port } = settingsOf(role)["metrics.listener"] as { readonly port: number };
    expect(template.metadata.annotations).toEqual({
      "prometheus.io/scrape": "true",
      "prometheus.io/port": String(port),
    });
  });

  test("is as many as in the compose files, and of the same image", () => {
    expect(spec.replicas).toBe(composeProcesses("raft").filter((process) => process.role === role).length);
    expect(container?.image).toBe(imageName(role));
    // Overlays change a container by its name, and add another where none has it.
    expect(pod.containers.map(({ name }) => name)).toEqual([role]);
  });

  test("runs as its image's user, confined, with a folder for what is temporary", () => {
    const { user } = imageOf(role);
    const rights = {
      runAsNonRoot: true,
      runAsUser: user,
      runAsGroup: user,
      seccompProfile: { type: "RuntimeDefault" },
    };
    expect(pod.securityContext).toMatchObject(rights);
    expect(container?.securityContext).toEqual(confined);
    expect(container?.volumeMounts).toContainEqual({ name: "tmp", mountPath: "/tmp" });
    expect(pod.volumes).toEqual([{ name: "tmp", emptyDir: {} }]);
  });

  test("stays until calls have ended, logs are closed and the collector was told, after its leaderships have moved", () => {
    const handingOverMs = (settingsOf(role)["controlled.shutdown.max.ms"] as number | undefined) ?? 0;
    expect((pod.terminationGracePeriodSeconds ?? 0) * 1000).toBeGreaterThanOrEqual(handingOverMs + 15_000);
  });

  test("is restarted where its port is closed, and not for what it waits for", () => {
    expect(container?.livenessProbe).toMatchObject({ tcpSocket: { port: "client" } });
    expect(container?.readinessProbe.grpc.service).toBeUndefined();
  });
});

test.each([
  { role: "broker", service: LogService.typeName },
  { role: "controller", service: AdminService.typeName },
  // It binds its port once it is ready.
  { role: "gateway", service: undefined },
] as const)("a $role that answers has started, however long it needs to be ready", ({ role, service }) => {
  expect(podOf(workloadOf(role)).containers[0]?.startupProbe.grpc.service).toBe(service);
});

test("whoever waits for the controllers may start for longer than a controller", () => {
  const startMs = (role: Role) => {
    const probe = podOf(workloadOf(role)).containers[0]?.startupProbe;
    return (probe?.periodSeconds ?? 0) * (probe?.failureThreshold ?? 0) * 1000;
  };
  // A snapshot of the most metadata there can be, read by a processor that everything starts on at once.
  expect(startMs("controller")).toBeGreaterThanOrEqual(300_000);
  for (const role of ["broker", "gateway"] as const) expect(startMs(role)).toBeGreaterThan(startMs("controller"));
});

test.each(["broker", "gateway"] as const)(
  "a %s knows every controller by the address that this one advertises",
  (role) => {
    expect(settingsOf(role)["controller.endpoints"]).toEqual(
      controllers(workloadOf("controller").spec.replicas as number),
    );
  },
);

test.each(["broker", "controller"] as const)(
  "a %s keeps what it writes in a claim, which belongs to its user",
  (role) => {
    const { spec } = workloadOf(role);
    const templates = spec.volumeClaimTemplates as readonly Claim[];
    const claims = templates.map(({ metadata }) => metadata.name);
    for (const claim of templates) expect(claim.spec.accessModes).toEqual(["ReadWriteOnce"]);
    const mounts = podOf(workloadOf(role)).containers[0]?.volumeMounts ?? [];
    const kept = mounts.filter(({ name }) => claims.includes(name)).map(({ mountPath }) => mountPath);
    const { "log.dirs": logs, "metadata.log.dir": metadata } = settingsOf(role);
    for (const folder of (logs ?? [metadata]) as readonly string[])
      expect(kept.some((mount) => folder.startsWith(`${mount}/`))).toBe(true);
    // Without the policy every file of a large volume is handed over anew before each start.
    const owner = { fsGroup: imageOf(role).user, fsGroupChangePolicy: "OnRootMismatch" };
    expect(podOf(workloadOf(role)).securityContext).toMatchObject(owner);
  },
);

describe.each([1, 2, 3])("the job that formats the directory of controller %d", (number) => {
  const jobs = kubernetesResources("overlays/raft/format/jobs.yaml");
  const job = jobs.find(({ kind, metadata }) => kind === "Job" && metadata.name === `format-${number}`);
  const controller = podOf(workloadOf("controller"));

  test("writes where that controller reads, under its id", () => {
    if (job === undefined) throw new Error("There is no such job");
    const pod = podOf(job);
    const container = pod.containers[0];
    const directory = environmentOf("controller", workloadOf("controller"), number).TIDEMARK_METADATA_LOG_DIR;
    const ids = ["--cluster-id=$(TIDEMARK_CLUSTER_ID)", "--voters=$(TIDEMARK_VOTERS)"];
    expect(container?.args).toEqual(["format", `--dir=${directory}`, `--node-id=${number}`, ...ids]);
    expect(container?.image).toBe(imageName("cli"));
    const maps = kustomization("overlays/raft/format").configMapGenerator as readonly { readonly name: string }[];
    expect(container?.envFrom).toEqual(maps.map(({ name }) => ({ configMapRef: { name } })));
    const mounted = controller.containers[0]?.volumeMounts.find(({ name }) => name === "data");
    expect(container?.volumeMounts).toEqual([mounted]);
    expect(pod.volumes).toEqual([{ name: "data", persistentVolumeClaim: { claimName: `data-controller-${number}` } }]);
  });

  test("has no more rights than that controller", () => {
    if (job === undefined) throw new Error("There is no such job");
    const pod = podOf(job);
    expect(controller.securityContext).toMatchObject(pod.securityContext ?? {});
    expect(pod.securityContext).toMatchObject({ runAsUser: imageOf("cli").user, fsGroup: imageOf("cli").user });
    expect(pod.containers[0]?.securityContext).toEqual(confined);
    expect(pod.enableServiceLinks).toBe(false);
    expect(pod.automountServiceAccountToken).toBe(false);
  });

  test("runs once, on a machine of its own: a volume may stay where it was first mounted", () => {
    if (job === undefined) throw new Error("There is no such job");
    const { labels } = (job.spec as { template: Template }).template.metadata;
    const apart = { topologyKey: "kubernetes.io/hostname", labelSelector: { matchLabels: labels } };
    expect(podOf(job).affinity).toEqual({
      podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [apart] },
    });
    expect(labels).toEqual(job.metadata.labels);
    // An API server takes no other but OnFailure.
    expect(podOf(job).restartPolicy).toBe("Never");
  });

  test("is removed without the claim that it wrote", () => {
    const label = { "app.kubernetes.io/component": "format" };
    expect(job?.metadata.labels).toEqual(label);
    const claim = jobs.find(({ metadata }) => metadata.name === `data-controller-${number}`);
    expect(claim?.kind).toBe("PersistentVolumeClaim");
    expect(claim?.metadata.labels).toBeUndefined();
  });
});

test("the variables that are formatted with are those that voters.env has, all still to be filled in or all filled in", () => {
  const text = readFileSync(join(deploy, "kubernetes", "overlays", "raft", "format", "voters.env"), "utf8");
  const variables = Array.from(text.matchAll(/^(\w+)=(.*)$/gm), ([, name, value]) => ({
    name,
    isFilled: value !== "",
  }));
  expect(variables.map(({ name }) => name)).toEqual(["TIDEMARK_CLUSTER_ID", "TIDEMARK_VOTERS"]);
  expect(new Set(variables.map(({ isFilled }) => isFilled)).size).toBe(1);
});

/** One patch of an overlay: what it adds to the variables of a role's container, and how many pods it makes. */
function patchOf(overlay: string, role: Role): { readonly added: Record<string, string>; readonly replicas?: number } {
  const patches = kustomization(`overlays/${overlay}`).patches as readonly {
    readonly target: { readonly kind: string; readonly name: string };
    readonly patch: string;
  }[];
  const added: Record<string, string> = {};
  let replicas: number | undefined;
  for (const { target, patch } of patches) {
    if (target.kind !== "StatefulSet" || target.name !== role) continue;
    const read = parse(patch) as unknown;
    const variables = Array.isArray(read)
      ? (read as { op: string; path: string; value: unknown }[]).flatMap(({ op, path, value }) => {
          if (op === "add" && path === "/spec/template/spec/containers/0/env/-") return [value];
          if (op !== "replace" || path !== "/spec/replicas") throw new Error(`${overlay}: what does ${op} ${path} do?`);
          replicas = value as number;
          return [];
        })
      : podOf(read as Parameters<typeof podOf>[0]).containers.flatMap(({ name, env = [] }) =>
          name === role ? env : [],
        );
    for (const { name, value } of variables as { name: string; value: string }[]) added[name] = value;
  }
  return { added, ...(replicas === undefined ? {} : { replicas }) };
}

test.each([
  { overlay: "single", backend: { name: "single" }, count: 1 },
  { overlay: "raft", backend: { name: "raft" }, count: 3 },
  { overlay: "etcd", backend: { name: "etcd", location: expect.anything() as unknown }, count: 3 },
])(
  "overlays/$overlay changes settings that there are, for the controllers that there are",
  ({ overlay, backend, count }) => {
    const drawn = (role: Role) =>
      settingsFrom(role, { ...environmentOf(role, workloadOf(role)), ...patchOf(overlay, role).added });
    expect(drawn("controller")["consensus.backend"]).toMatchObject(backend);
    expect(patchOf(overlay, "controller").replicas ?? workloadOf("controller").spec.replicas).toBe(count);
    expect(Object.keys(patchOf(overlay, "controller").added)).toEqual(["TIDEMARK_CONSENSUS_BACKEND"]);
    for (const role of ["broker", "gateway"] as const) {
      expect(drawn(role)["controller.endpoints"]).toEqual(controllers(count));
      const { added, replicas } = patchOf(overlay, role);
      expect(Object.keys(added).filter((name) => name !== "TIDEMARK_CONTROLLER_ENDPOINTS")).toEqual([]);
      expect(replicas).toBeUndefined();
    }
  },
);

test("overlays/etcd names an etcd as a controller takes it, and all else is as in compose/etcd.yaml", () => {
  const choice = (environment: Readonly<Record<string, string>>) =>
    consensusChoice(settingsFrom("controller", environment) as unknown as Parameters<typeof consensusChoice>[0]);
  const inCompose = composeProcesses("etcd").find(({ role }) => role === "controller")?.environment ?? {};
  const inPod = { ...environmentOf("controller", workloadOf("controller")), ...patchOf("etcd", "controller").added };
  // Where it is, and below which prefix, is for whoever applies it to say.
  const endpoint = { host: expect.any(String) as string, port: expect.any(Number) as number };
  const own = {
    endpoints: expect.arrayContaining([endpoint]) as unknown,
    prefix: expect.any(String) as string,
  };
  expect(choice(inPod)).toEqual({ ...choice(inCompose), ...own });
});
