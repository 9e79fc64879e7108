import { createFaultDisk, createMemoryDisk, type FaultPlan, type MemoryDisk } from "@tidemark/disk";
import type { Scheduler } from "@tidemark/runtime";
import { createMemoryNetwork } from "./memory-network.ts";
import type { NodeHome, NodePlaces } from "./raft-cluster.ts";

/** Disks and a network in memory. `planOf`: what befalls a node's disk. */
export function createMemoryPlaces(scheduler: Scheduler, planOf?: (node: number) => FaultPlan): NodePlaces {
  const network = createMemoryNetwork(scheduler);
  const disks = new Map<number, MemoryDisk>();
  const diskOf = (node: number) => {
    const disk = disks.get(node) ?? createMemoryDisk();
    disks.set(node, disk);
    return disk;
  };
  return {
    home(node): NodeHome {
      const disk = diskOf(node);
      return {
        directory: "/data/raft",
        attach: () => {
          const plan = planOf?.(node);
          return plan === undefined ? disk.attach() : createFaultDisk(disk, { plan, scheduler });
        },
        kill: () => disk.kill(),
        powerCut: () => disk.powerCut(),
        lose: () => disk.lose(),
      };
    },
    transport: (_node, id) => network.transport(id),
    vanished: (_node, id) => network.remove(id),
    close: async () => {},
  };
}
