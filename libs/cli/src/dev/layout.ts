/**
 * Which processes a cluster on one machine has, and where each of them listens.
 *
 * | role       | listener | port                    |
 * |------------|----------|-------------------------|
 * | gateway    | client   | base + its index        |
 * | controller | client   | base + 10 + 2 x index   |
 * | controller | internal | base + 11 + 2 x index   |
 * | broker     | client   | base + 20 + 2 x index   |
 * | broker     | internal | base + 21 + 2 x index   |
 * | any        | metrics  | base + 40 + its place   |
 */
export type Role = "controller" | "broker" | "gateway";
export type Backend = "single" | "raft" | "etcd";

/** Name of a listener with its port. */
export type Ports = Readonly<Record<string, number>>;

export interface ProcessSpec {
  readonly role: Role;
  /** Node id, from 1. */
  readonly id: number;
  readonly ports: Ports;
}

export interface Counts {
  readonly controllers: number;
  readonly brokers: number;
  readonly gateways: number;
}

/** How people name a process: `broker-2`. */
export function processName(process: { readonly role: Role; readonly id: number }): string {
  return `${process.role}-${process.id}`;
}

/** The processes in the order in which they start: controllers, brokers, gateways. */
export function layOut(counts: Counts, basePort: number): readonly ProcessSpec[] {
  const pair = (from: number, index: number) => ({ client: from + 2 * index, internal: from + 2 * index + 1 });
  const unnumbered = [
    ...indexes(counts.controllers).map((index) => ({ role: "controller" as const, index, ports: pair(10, index) })),
    ...indexes(counts.brokers).map((index) => ({ role: "broker" as const, index, ports: pair(20, index) })),
    ...indexes(counts.gateways).map((index) => ({ role: "gateway" as const, index, ports: { client: index } })),
  ];
  return unnumbered.map(({ role, index, ports }, place) => ({
    role,
    id: index + 1,
    ports: shift({ ...ports, metrics: 40 + place }, basePort),
  }));
}

/** The same layout on ports that were handed out one by one. `take` is called once for each listener. */
export async function layOutOn(counts: Counts, take: () => Promise<number>): Promise<readonly ProcessSpec[]> {
  const specs: ProcessSpec[] = [];
  for (const spec of layOut(counts, 0)) {
    const ports: Record<string, number> = {};
    for (const listener of Object.keys(spec.ports)) ports[listener] = await take();
    specs.push({ ...spec, ports });
  }
  return specs;
}

function indexes(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

function shift(ports: Ports, by: number): Ports {
  return Object.fromEntries(Object.entries(ports).map(([listener, port]) => [listener, port + by]));
}
