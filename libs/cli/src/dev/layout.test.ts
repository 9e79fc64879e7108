import { describe, expect, test } from "vitest";
import { controlPort, countsMax, layOut, processName } from "./layout.ts";

describe("the layout of a cluster on one machine", () => {
  test("puts the gateway on the base port, controllers from +10, brokers from +20, metrics from +40, etcd from +72", () => {
    const specs = layOut({ controllers: 1, brokers: 3, gateways: 1, etcds: 1 }, 4640);
    expect(specs.map((spec) => [processName(spec), spec.ports])).toEqual([
      ["etcd-1", { client: 4712, peer: 4713 }],
      ["controller-1", { client: 4650, internal: 4651, metrics: 4680 }],
      ["broker-1", { client: 4660, internal: 4661, metrics: 4681 }],
      ["broker-2", { client: 4662, internal: 4663, metrics: 4682 }],
      ["broker-3", { client: 4664, internal: 4665, metrics: 4683 }],
      ["gateway-1", { client: 4640, metrics: 4684 }],
    ]);
  });

  test("never gives a port twice, at the largest size too", () => {
    const ports = layOut(countsMax, 4640).flatMap((spec) => Object.values(spec.ports));
    const all = [...ports, controlPort(4640)];
    expect(new Set(all).size).toBe(all.length);
  });
});
