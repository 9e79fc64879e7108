/** The files that start a cluster somewhere, read as what they say about each process. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse, parseAllDocuments } from "yaml";

/** This folder's parent: what stands in `deploy/`. */
export const deploy = join(dirname(fileURLToPath(import.meta.url)), "..");

export const roles = ["controller", "broker", "gateway"] as const;
export type Role = (typeof roles)[number];

/** One process of ours as a manifest starts it. */
export interface ManifestProcess {
  readonly role: Role;
  /** Its name in the network: `broker-1`. */
  readonly name: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Folders that outlive it. */
  readonly volumes: readonly string[];
  /** How long it may take to stop, in milliseconds. */
  readonly graceMs: number;
}

export interface ComposeService {
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly image: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly profiles?: readonly string[];
  readonly command?: readonly string[];
  readonly depends_on?: readonly string[];
  readonly restart?: string;
  readonly stop_grace_period?: string;
}

interface ComposeFile {
  readonly include?: readonly string[];
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly volumes?: Readonly<Record<string, unknown>>;
}

export const composeNames = ["single", "raft", "etcd"] as const;
export type ComposeName = (typeof composeNames)[number];

export function composeFile(name: ComposeName | "observability"): ComposeFile {
  return parse(readFileSync(join(deploy, "compose", `${name}.yaml`), "utf8"), { merge: true }) as ComposeFile;
}

const rolePattern = /^(controller|broker|gateway)-\d+$/;

/** The processes of ours that a compose file starts. */
export function composeProcesses(name: ComposeName): readonly ManifestProcess[] {
  return Object.entries(composeFile(name).services).flatMap(([service, given]) => {
    const role = rolePattern.exec(service)?.[1] as Role | undefined;
    if (role === undefined) return [];
    const seconds = /^(\d+)s$/.exec(given.stop_grace_period ?? "")?.[1];
    return [
      {
        role,
        name: service,
        environment: given.environment ?? {},
        volumes: (given.volumes ?? []).map((volume) => volume.split(":")[1] ?? ""),
        // What compose waits where nothing is said.
        graceMs: Number(seconds ?? 10) * 1000,
      },
    ];
  });
}

/** A resource of Kubernetes: only what is looked at here. */
export interface Resource {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly spec: Readonly<Record<string, unknown>>;
}

/** What a kubelet asks the health service: of one service, or without a name whether the process is ready. */
export interface GrpcProbe {
  readonly port: number;
  readonly service?: string;
}

/** How often a kubelet asks, and how many bad answers in a row it believes. */
interface Probe {
  readonly periodSeconds: number;
  readonly failureThreshold: number;
}

/** The pods of a workload. */
export interface PodSpec {
  readonly enableServiceLinks?: boolean;
  readonly automountServiceAccountToken?: boolean;
  readonly restartPolicy?: string;
  readonly terminationGracePeriodSeconds?: number;
  readonly securityContext?: Readonly<Record<string, unknown>>;
  readonly affinity?: Readonly<Record<string, unknown>>;
  readonly volumes?: readonly {
    readonly name: string;
    readonly persistentVolumeClaim?: { readonly claimName: string };
  }[];
  readonly containers: readonly {
    readonly name: string;
    readonly image: string;
    readonly args?: readonly string[];
    readonly securityContext?: Readonly<Record<string, unknown>>;
    readonly env?: readonly {
      readonly name: string;
      readonly value?: string;
      readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } };
    }[];
    readonly envFrom?: readonly { readonly configMapRef: { readonly name: string } }[];
    readonly ports: readonly { readonly name: string; readonly containerPort: number; readonly protocol?: string }[];
    readonly startupProbe: Probe & { readonly grpc: GrpcProbe };
    readonly readinessProbe: Probe & { readonly grpc: GrpcProbe };
    readonly livenessProbe: Probe;
    readonly resources: Readonly<Record<"requests" | "limits", Readonly<Record<string, string>>>>;
    readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  }[];
}

export function kubernetesResources(file: string): readonly Resource[] {
  return readResources(readFileSync(join(deploy, "kubernetes", file), "utf8"));
}

/** The resources of a text with a document for each. */
export function readResources(text: string): readonly Resource[] {
  return parseAllDocuments(text).map((document) => document.toJS() as Resource);
}

/** What runs a role, as the base says it. */
export function workloadOf(role: Role): ReturnType<typeof workloadIn> {
  return workloadIn(kubernetesResources(`base/${role}.yaml`), role);
}

/** What runs the pods of a role. Throws where nothing does. */
export function workloadIn(resources: readonly Resource[], role: Role): Resource {
  const found = resources.find(({ kind, metadata }) => metadata.name === role && kind === "StatefulSet");
  if (found === undefined) throw new Error(`There is no workload of ${role}`);
  return found;
}

/** The variables of ours in a pod of a role, as Kubernetes would fill them in. Throws where it takes one from nowhere. */
export function environmentOf(role: Role, workload: Resource, number = 1): Readonly<Record<string, string>> {
  const fields: Readonly<Record<string, string>> = {
    "metadata.name": `${role}-${number}`,
    "metadata.namespace": "tidemark",
    "metadata.labels['apps.kubernetes.io/pod-index']": String(number),
    "status.podIP": `10.0.0.${number}`,
  };
  const known: Record<string, string> = {};
  for (const { name, value, valueFrom } of podOf(workload).containers[0]?.env ?? []) {
    // What does not stand further up is left as it is written.
    const filled = value?.replace(/\$\((\w+)\)/g, (written, other: string) => known[other] ?? written);
    const found = filled ?? fields[valueFrom?.fieldRef.fieldPath ?? ""];
    if (found === undefined) throw new Error(`${name} of a ${role} is taken from what a pod does not have`);
    known[name] = found;
  }
  return Object.fromEntries(Object.entries(known).filter(([name]) => name.startsWith("TIDEMARK_")));
}

export function podOf(workload: Resource): PodSpec {
  return (workload.spec.template as { readonly spec: PodSpec }).spec;
}

/** The name of a program's image: the files that build it and those that start it have to agree. */
export function imageName(program: string): string {
  const { version } = JSON.parse(readFileSync(join(deploy, "package.json"), "utf8")) as { version: string };
  return `tidemark/${program}:${version}`;
}

/** What a program's image is made by. */
export interface Image {
  /** The name of every instruction, in order. */
  readonly instructions: readonly string[];
  /** The arguments of every instruction of a kind, in order. */
  told(instruction: string): readonly string[];
  /** The number of the user that it runs as. 0: root, as where nothing is said. */
  readonly user: number;
}

export function imageOf(program: string): Image {
  const lines = readFileSync(join(deploy, "images", `${program}.Containerfile`), "utf8").split("\n");
  // Written in capitals by habit alone: builders take `copy` for COPY.
  const all = lines.flatMap((line) => {
    const [, instruction = "", rest = ""] = /^\s*(\w+)\s+(.*)$/.exec(line) ?? [];
    return instruction === "" ? [] : [{ instruction: instruction.toUpperCase(), rest }];
  });
  const told = (kind: string) => all.flatMap(({ instruction, rest }) => (instruction === kind ? [rest] : []));
  return {
    instructions: all.map(({ instruction }) => instruction),
    told,
    user: Number(/^\d+/.exec(told("USER").at(-1) ?? "")?.[0] ?? 0),
  };
}
