/** Links between slots, each with its own faults in each direction. */
import type { Message } from "../messages.ts";
import type { World } from "./world.ts";

export interface Network {
  /** Shares of messages that are lost and doubled, and the delay, for every link. */
  lossShare: number;
  doubleShare: number;
  extraDelayMsMax: number;
  cut(from: number, to: number): void;
  heal(from: number, to: number): void;
  isCut(from: number, to: number): boolean;
  healAll(): void;
  send(world: World, from: number, to: number, message: Message): void;
}

export function createNetwork(): Network {
  /** How many faults hold a link cut. */
  const cuts = new Map<number, number>();
  const key = (from: number, to: number) => from * 64 + to;
  const network: Network = {
    lossShare: 0,
    doubleShare: 0,
    extraDelayMsMax: 0,
    cut: (from, to) => void cuts.set(key(from, to), (cuts.get(key(from, to)) ?? 0) + 1),
    heal: (from, to) => void cuts.set(key(from, to), Math.max(0, (cuts.get(key(from, to)) ?? 0) - 1)),
    isCut: (from, to) => (cuts.get(key(from, to)) ?? 0) > 0,
    healAll() {
      cuts.clear();
      network.lossShare = 0;
      network.doubleShare = 0;
      network.extraDelayMsMax = 0;
    },
    send(world, from, to, message) {
      const { draw, queue, plan } = world;
      const copies = draw.chance(network.doubleShare) ? 2 : 1;
      for (let copy = 0; copy < copies; copy++) {
        if (network.isCut(from, to) || draw.chance(network.lossShare)) continue;
        const extra = network.extraDelayMsMax > 0 && draw.chance(0.2) ? draw.between(0, network.extraDelayMsMax) : 0;
        queue.after(draw.between(1, plan.delayMsMax) + extra, () => {
          if (!network.isCut(from, to)) world.nodes[to]?.receive(message, from);
        });
      }
    },
  };
  return network;
}
