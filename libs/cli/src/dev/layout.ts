/**
 * Which processes a cluster on one machine has, and where each of them listens.
 *
 * | process    | listener | port                    |
 * |------------|----------|-------------------------|
 * | gateway    | client   | base + its index        |
 * | controller | client   | base + 10 + 2 x index   |
 * | controller | internal | base + 11 + 2 x index   |
 * | broker     | client   | base + 20 + 2 x index   |
 * | broker     | internal | base + 21 + 2 x index   |
 * | any of ours| metrics  | base + 40 + its place   |
 * | supervisor | control  | base + 70               |
 * | etcd       | client   | base + 72 + 2 x index   |
 * | etcd       | peer     | base + 73 + 2 x index   |
 */
/** The suite's own services. */
export type ServiceRole = "controller" | "broker" | "gateway";
/** `etcd`: a program of others, which the controllers keep the metadata in. */
export type Role = ServiceRole | "etcd";
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
  /** Members of an etcd of the cluster's own. 0: none. */
  readonly etcds: number;
}

/** How many processes of a role the layout has ports for. */
export const countsMax: Counts = { controllers: 5, brokers: 10, gateways: 10, etcds: 3 };

/** How people name a process: `broker-2`. */
export function processName(process: { readonly role: Role; readonly id: number }): string {
  return `${process.role}-${process.id}`;
}

/** The processes in the order in which they start: etcd, controllers, brokers, gateways. */
export function layOut(counts: Counts, basePort: number): readonly ProcessSpec[] {
  const pair = (from: number, index: number) => ({ client: from + 2 * index, internal: from + 2 * index + 1 });
  const unnumbered = [
    ...indexes(counts.controllers).map((index) => ({ role: "controller" as const, index, ports: pair(10, index) })),
    ...indexes(counts.brokers).map((index) => ({ role: "broker" as const, index, ports: pair(20, index) })),
    ...indexes(counts.gateways).map((index) => ({ role: "gateway" as const, index, ports: { client: index } })),
  ];
  const services = unnumbered.map(({ role, index, ports }, place) => ({
    role,
    id: index + 1,
    ports: shift({ ...ports, metrics: 40 + place }, basePort),
  }));
  const etcds = indexes(counts.etcds).map((index) => ({
    role: "etcd" as const,
    id: index + 1,
    ports: shift({ client: 72 + 2 * index, peer: 73 + 2 * index }, basePort),
  }));
  return [...etcds, ...services];
}

/** Where the supervisor takes commands from other shells. */
export function controlPort(basePort: number): number {
  return basePort + 70;
}

function indexes(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

function shift(ports: Ports, by: number): Ports {
  return Object.fromEntries(Object.entries(ports).map(([listener, port]) => [listener, port + by]));
}
