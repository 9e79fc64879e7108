import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
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

const settingsOf = (role: Role) => settingsFrom(role, environmentOf(role, workloadOf(role)));

describe.each(roles)("a pod of a %s", (role) => {
  const pod = podOf(workloadOf(role));
  const container = pod.containers[0];

  test("gets settings that the service takes", () => {
    expect(settingsOf(role)["node.id"]).toBe(1);
  });

  test("is reached at the ports where it listens", () => {
    const listeners = settingsOf(role).listeners as readonly { readonly name: string; readonly port: number }[];
    const metrics = settingsOf(role)["metrics.listener"] as { readonly port: number };
    const expected = [...listeners.map(({ name, port }) => [name, port]), ["metrics", metrics.port]];
    expect(container?.ports.map(({ name, containerPort }) => [name, containerPort])).toEqual(expected);
  });

  test("takes no variables of other services for settings, and runs without rights", () => {
    expect(pod.enableServiceLinks).toBe(false);
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true });
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
    const number = container?.env?.find(({ name }) => name === "TIDEMARK_NODE_ID")?.valueFrom;
    expect(number).toEqual({ fieldRef: { fieldPath: "metadata.labels['apps.kubernetes.io/pod-index']" } });
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
    const advertised = container?.env?.find(({ name }) => name === "TIDEMARK_ADVERTISED_LISTENERS")?.value;
    for (const listener of advertised?.split(",") ?? [""]) {
      expect(listener).toContain(role === "gateway" ? "$(POD_IP)" : `$(POD_NAME).${role}.$(POD_NAMESPACE).svc`);
    }
  });

  test("may take longer to stop than its leaderships take to move", () => {
    const needed = (settingsOf(role)["controlled.shutdown.max.ms"] as number | undefined) ?? 0;
    expect((pod.terminationGracePeriodSeconds ?? 0) * 1000).toBeGreaterThan(needed);
  });

  test("has the settings of the compose files, addresses aside", () => {
    const addresses = /LISTENERS|ENDPOINTS|NODE_ID|BACKEND|PER_IP/;
    const plain = (environment: Readonly<Record<string, string>>) =>
      Object.fromEntries(
        Object.entries(environment).filter(([name]) => name.startsWith("TIDEMARK_") && !addresses.test(name)),
      );
    const inCompose = composeProcesses("raft").find((process) => process.role === role)?.environment ?? {};
    const inPod = plain(environmentOf(role, workloadOf(role)));
    expect(inPod).toMatchObject(plain(inCompose));
  });
});

test.each(["controller", "broker"] as const)(
  "pods of a %s start together and find each other before they are ready",
  (role) => {
    const resources = kubernetesResources(`base/${role}.yaml`);
    expect(workloadOf(role).spec).toMatchObject({ podManagementPolicy: "Parallel", serviceName: role });
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

test("the claims that are formatted are those that the controllers look for", () => {
  const claims = kubernetesResources("overlays/raft/format/jobs.yaml").filter(
    ({ kind }) => kind === "PersistentVolumeClaim",
  );
  const [template] = workloadOf("controller").spec.volumeClaimTemplates as {
    metadata: { name: string };
    spec: unknown;
  }[];
  expect(claims.map(({ metadata }) => metadata.name)).toEqual(
    [1, 2, 3].map((n) => `${template?.metadata.name}-controller-${n}`),
  );
  for (const claim of claims) expect(claim.spec).toEqual(template?.spec);
});

test.each(["base", "overlays/single", "overlays/raft", "overlays/raft/format", "overlays/etcd"])(
  "kubernetes/%s names only files that are there",
  (folder) => {
    const file = join(deploy, "kubernetes", folder, "kustomization.yaml");
    const { resources } = parse(readFileSync(file, "utf8")) as { resources: string[] };
    for (const resource of resources) expect(existsSync(join(dirname(file), resource))).toBe(true);
  },
);
