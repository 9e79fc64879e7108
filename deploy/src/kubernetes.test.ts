import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import {
  composeProcesses,
  deploy,
  environmentOf,
  kubernetesResources,
  podOf,
  type Role,
  roles,
  workloadOf,
} from "./manifests.ts";
import { settingsFrom } from "./settings.ts";

const settingsOf = (role: Role, number = 1) => settingsFrom(role, environmentOf(role, workloadOf(role), number));

interface Listener {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

interface Kustomization {
  readonly resources: readonly string[];
  readonly configMapGenerator?: readonly { readonly name: string; readonly envs: readonly string[] }[];
  readonly namespace?: string;
  readonly labels?: readonly object[];
}

interface Claim {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly accessModes: readonly string[];
    readonly resources: { readonly requests: { readonly storage: string } };
  };
}

/** A quantity such as `10Gi`. NaN, which is neither more nor less than anything, for other units than Mi and Gi. */
function bytesOf(quantity = ""): number {
  const [, count, unit = ""] = /^(\d+)([MG]i)$/.exec(quantity) ?? [];
  return Number(count) * (unit === "Gi" ? 2 ** 30 : 2 ** 20);
}

describe.each(roles)("a pod of a %s", (role) => {
  const pod = podOf(workloadOf(role));
  const container = pod.containers[0];

  test("gets settings that the service takes", () => {
    expect(settingsOf(role)["node.id"]).toBe(1);
  });

  test("is reached at the ports where it listens", () => {
    const listeners = settingsOf(role).listeners as readonly Listener[];
    const metrics = settingsOf(role)["metrics.listener"] as Omit<Listener, "name">;
    for (const { host } of [...listeners, metrics]) expect(host, "loopback is reached by nobody").toBe("0.0.0.0");
    const expected = [...listeners.map(({ name, port }) => [name, port]), ["metrics", metrics.port]];
    expect(container?.ports.map(({ name, containerPort }) => [name, containerPort])).toEqual(expected);
  });

  test("takes no variables of other services for settings, and runs without rights", () => {
    expect(pod.enableServiceLinks).toBe(false);
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true });
    expect(pod.automountServiceAccountToken, "nothing of ours asks Kubernetes").toBe(false);
    expect(
      Object.keys(pod).filter((field) => field.startsWith("host")),
      "shares nothing with its machine",
    ).toEqual([]);
  });

  test("keeps away from the others of its kind, and has a number of its own", () => {
    const own = { matchLabels: { "app.kubernetes.io/component": role } };
    const apart = { topologyKey: "kubernetes.io/hostname", labelSelector: own };
    // Two that hold data are never on one machine; gateways rather not.
    const expected =
      role === "gateway"
        ? { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm: apart }] }
        : { requiredDuringSchedulingIgnoredDuringExecution: [apart] };
    expect(pod.affinity).toEqual({ podAntiAffinity: expected });
    expect(settingsOf(role, 2)["node.id"]).toBe(2);
    expect(workloadOf(role).spec).toMatchObject({ ordinals: { start: 1 }, selector: own });
    const budget = kubernetesResources(`base/${role}.yaml`).find(({ kind }) => kind === "PodDisruptionBudget");
    expect(budget?.spec).toEqual({ maxUnavailable: 1, selector: own });
  });

  test("is asked by gRPC, at its client port, whether it has started and is ready", () => {
    const port = container?.ports.find(({ name }) => name === "client")?.containerPort;
    expect(container?.startupProbe.grpc.port).toBe(port);
    expect(container?.readinessProbe.grpc.port).toBe(port);
  });

  test("advertises an address of its own", () => {
    const listeners = settingsOf(role, 2)["advertised.listeners"] as readonly { readonly host: string }[];
    const own = role === "gateway" ? "10.0.0.2" : `${role}-2.${role}.tidemark.svc`;
    expect(new Set(listeners.map(({ host }) => host))).toEqual(new Set([own]));
  });

  test("may take longer to stop than its leaderships take to move", () => {
    const needed = (settingsOf(role)["controlled.shutdown.max.ms"] as number | undefined) ?? 0;
    expect((pod.terminationGracePeriodSeconds ?? 0) * 1000).toBeGreaterThan(needed);
  });

  test("is not ended over what passes, and gets no calls for long when it is not ready", () => {
    const { "request.timeout.ms": callMs } = settingsOf(role);
    const noticedMs = (probe?: { readonly periodSeconds: number; readonly failureThreshold: number }) =>
      (probe?.periodSeconds ?? 0) * (probe?.failureThreshold ?? 0) * 1000;
    expect(noticedMs(container?.livenessProbe)).toBeGreaterThanOrEqual(callMs as number);
    expect(noticedMs(container?.readinessProbe)).toBeLessThan(callMs as number);
  });

  test("asks for memory that a process can live with, and is never kept from its processor", () => {
    const { requests, limits } = container?.resources ?? {};
    expect(bytesOf(requests?.memory)).toBeGreaterThanOrEqual(bytesOf("256Mi"));
    expect(bytesOf(limits?.memory)).toBeGreaterThanOrEqual(bytesOf(requests?.memory));
    // A process that has used up its share stands still until the next, and misses its heartbeats.
    expect(limits?.cpu).toBeUndefined();
  });

  test("is replaced one at a time, and leaves its claim behind", () => {
    const { spec } = workloadOf(role);
    expect(spec.podManagementPolicy).toBe("Parallel");
    // As Kubernetes does both where nothing is said.
    expect(spec.updateStrategy).toBeUndefined();
    expect(spec.persistentVolumeClaimRetentionPolicy).toBeUndefined();
  });

  test("has the settings of the compose files and no others, addresses aside", () => {
    // How long it may take to stop is told beside how long it may take to be ended.
    const addresses = /LISTENERS|ENDPOINTS|NODE_ID|BACKEND|PER_IP|CONTROLLED_SHUTDOWN/;
    const plain = (environment: Readonly<Record<string, string>>) =>
      Object.fromEntries(
        Object.entries(environment).filter(([name]) => name.startsWith("TIDEMARK_") && !addresses.test(name)),
      );
    const inCompose = composeProcesses("raft").find((process) => process.role === role)?.environment ?? {};
    const inPod = plain(environmentOf(role, workloadOf(role)));
    expect(inPod).toEqual(plain(inCompose));
    expect(container).not.toHaveProperty("args");
    expect(container).not.toHaveProperty("command");
    expect(container).not.toHaveProperty("envFrom");
  });
});

test.each(["controller", "broker"] as const)(
  "pods of a %s start together and find each other before they are ready",
  (role) => {
    const resources = kubernetesResources(`base/${role}.yaml`);
    expect(workloadOf(role).spec).toMatchObject({ serviceName: role });
    const service = resources.find(({ kind }) => kind === "Service");
    expect(service?.spec).toMatchObject({ clusterIP: "None", publishNotReadyAddresses: true });
    const budget = resources.find(({ kind }) => kind === "PodDisruptionBudget");
    expect(budget?.spec).toMatchObject({ maxUnavailable: 1 });
  },
);

test("a broker's start may take half an hour of recovery", () => {
  const probe = podOf(workloadOf("broker")).containers[0]?.startupProbe;
  expect((probe?.periodSeconds ?? 0) * (probe?.failureThreshold ?? 0)).toBeGreaterThanOrEqual(1800);
});

test("a broker's moves of leaderships are given no less than they take by default, and its claim holds many segments", () => {
  const byDefault = settingsFrom("broker", {
    TIDEMARK_NODE_ID: "1",
    TIDEMARK_CONTROLLER_ENDPOINTS: "controller:1",
    TIDEMARK_LOG_DIRS: "/data/log",
  });
  const key = "controlled.shutdown.max.ms";
  expect(settingsOf("broker")[key]).toBeGreaterThanOrEqual(byDefault[key] as number);
  const [claim] = workloadOf("broker").spec.volumeClaimTemplates as readonly Claim[];
  const segment = settingsOf("broker")["log.segment.bytes"] as number;
  expect(bytesOf(claim?.spec.resources.requests.storage)).toBeGreaterThanOrEqual(20 * segment);
});

test("the claims that are formatted are those that the controllers look for", () => {
  const claims = kubernetesResources("overlays/raft/format/jobs.yaml").filter(
    ({ kind }) => kind === "PersistentVolumeClaim",
  );
  const [template] = workloadOf("controller").spec.volumeClaimTemplates as readonly Claim[];
  expect(claims.map(({ metadata }) => metadata.name)).toEqual(
    [1, 2, 3].map((n) => `${template?.metadata.name}-controller-${n}`),
  );
  for (const claim of claims) expect(claim.spec).toEqual(template?.spec);
});

const kustomizations = ["base", "overlays/single", "overlays/raft", "overlays/raft/format", "overlays/etcd"];
describe.each(kustomizations)("kubernetes/%s", (folder) => {
  const path = join(deploy, "kubernetes", folder);
  const said = parse(readFileSync(join(path, "kustomization.yaml"), "utf8")) as Kustomization;
  const { resources, configMapGenerator, namespace, labels = [] } = said;

  test("takes in every file that stands beside it, and nothing that is not there", () => {
    const named = [...resources, ...(configMapGenerator ?? []).flatMap(({ envs }) => envs)];
    for (const name of named) expect(existsSync(join(path, name)), name).toBe(true);
    const beside = readdirSync(path).filter((name) => /\.(yaml|env)$/.test(name) && name !== "kustomization.yaml");
    expect(named.filter((name) => !name.includes("/")).sort()).toEqual(beside.sort());
  });

  test("changes no names, by which the pods are found, and no selectors, which stay for good", () => {
    const known = ["apiVersion", "kind", "resources", "configMapGenerator", "namespace", "labels", "patches"];
    expect(known).toEqual(expect.arrayContaining(Object.keys(said)));
    const isOverBase = resources.includes("../../base");
    expect(resources.some((resource) => resource.includes("/"))).toBe(isOverBase);
    expect(namespace).toBe(isOverBase ? undefined : "tidemark");
    for (const label of labels) expect(Object.keys(label)).toEqual(["pairs"]);
  });
});
