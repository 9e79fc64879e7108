import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNodeDisk } from "@tidemark/disk";
import type { NodeId } from "@tidemark/raft";
import { createRpcServer, grpcTransport, type RpcServer } from "@tidemark/rpc";
import type { Runtime } from "@tidemark/runtime";
import { createGrpcTransport } from "../src/grpc/grpc-transport.ts";
import type { Peer, Transport } from "../src/node/transport.ts";
import { createKillableDisk, type KillableDisk } from "../src/testing/killable-disk.ts";
import type { NodePlaces } from "../src/testing/raft-cluster.ts";

/** Directories of this machine, and servers on free ports of it. */
export async function createGrpcPlaces(runtime: Runtime): Promise<NodePlaces> {
  const root = await mkdtemp(join(tmpdir(), "tidemark-raft-"));
  const disks = new Map<number, KillableDisk>();
  const servers = new Map<number, RpcServer>();
  const ports = new Map<NodeId, number>();
  const stopping = new Map<number, Promise<void>>();
  /** Members are known by names that nothing resolves. */
  const at = (id: NodeId) => `0@127.0.0.1:${ports.get(id) ?? 0}`;
  const resolved = ({ id }: Peer): Peer => ({ id, address: ports.has(id) ? at(id) : undefined });

  return {
    home: (node) => ({
      directory: join(root, String(node)),
      attach() {
        const disk = createKillableDisk(createNodeDisk({ runtime }));
        disks.set(node, disk);
        return disk;
      },
      kill: () => disks.get(node)?.kill(),
      // What was written and not flushed stays in the page cache of this machine: no power is cut here.
      powerCut: () => {},
      lose: () => rm(join(root, String(node)), { recursive: true, force: true }),
    }),
    async transport(node, id): Promise<Transport> {
      await stopping.get(node);
      const transport = createGrpcTransport({ id, address: () => at(id), runtime, rpc: grpcTransport });
      const internal = { host: "127.0.0.1", port: ports.get(id) ?? 0, services: [transport.service] };
      const server = createRpcServer({ runtime, transport: grpcTransport, listeners: { internal } });
      const bound = await server.start();
      ports.set(id, bound["internal"]?.port ?? 0);
      servers.set(node, server);
      return {
        start: (handlers) => transport.start(handlers),
        send: (to, message) => transport.send(resolved(to), message),
        submit: (to, command, signal) => transport.submit(resolved(to), command, signal),
        async close() {
          await transport.close();
          await server.stop(0);
        },
      };
    },
    vanished(node) {
      const server = servers.get(node);
      if (server !== undefined) stopping.set(node, server.stop(0));
    },
    async close() {
      for (const server of servers.values()) await server.stop(0);
      await rm(root, { recursive: true, force: true });
    },
  };
}
