import type { ProbeResult, Transport } from "@tidemark/rpc";
import type { Random } from "@tidemark/runtime";
import type { Engine } from "../engine/engine.ts";
import type { SimProcess } from "../engine/sim-process.ts";
import { createSimChannel } from "./channel.ts";
import type { SidePlace } from "./connection.ts";
import { type Dialled, dial } from "./dial.ts";
import type { Host, NetworkContext } from "./host.ts";
import { createLinks, type LinkState, type Links } from "./links.ts";
import { createSimListener } from "./listener.ts";
import { type NetworkWatch, unwatched } from "./network-watch.ts";

/** Hosts, and what connects them. */
export interface Network {
  readonly links: Links;
  /** Adds a machine that has power and runs nothing. */
  addHost(name: string): Host;
  /** What a process that runs on a host dials and listens with. */
  transportOf(host: Host, process: SimProcess): Transport;
  /** Connects without a word of gRPC; see `dial`. */
  dial(
    from: SidePlace,
    to: { readonly host: string; readonly port: number; readonly timeoutMs: number },
    onEnd: (end: Dialled) => void,
  ): () => void;
  /** The process on the host ended: its machine tells every peer. */
  endProcess(host: Host): void;
  /** The machine loses its power: nobody is told. */
  losePower(host: Host): void;
}

/** `watch`: looks on. Absent: nobody does. */
export function createNetwork(
  engine: Engine,
  random: Random,
  usual: LinkState,
  watch: NetworkWatch = unwatched,
): Network {
  const hosts = new Map<string, Host>();
  const links = createLinks(engine, random, usual);
  const net: NetworkContext = { engine, links, watch, host: (name) => hosts.get(name) };
  return {
    links,
    addHost(name) {
      const host: Host = {
        name,
        number: hosts.size + 1,
        isPowered: true,
        listeners: new Map(),
        connections: new Set(),
      };
      hosts.set(name, host);
      return host;
    },
    transportOf(host, process) {
      const place = { host, process };
      return {
        createChannel: (endpoint, options) => createSimChannel(net, place, endpoint, { ...options, random }),
        createListener: (name, options, context) => createSimListener(net, place, name, options, context),
        probe: (address, timeoutMs) =>
          new Promise<ProbeResult>((resolve) => {
            dial(net, place, { ...address, timeoutMs }, (end) => {
              if (end.kind === "reached") end.connection.close();
              resolve(end.kind);
            });
          }),
      };
    },
    dial: (from, to, onEnd) => dial(net, from, to, onEnd),
    endProcess(host) {
      host.listeners.clear();
      for (const connection of [...host.connections]) connection.close();
    },
    losePower(host) {
      host.isPowered = false;
      host.listeners.clear();
      for (const connection of [...host.connections]) connection.forget();
    },
  };
}
