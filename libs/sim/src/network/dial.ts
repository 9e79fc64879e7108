import type { ProbeResult } from "@tidemark/rpc";
import { type Connection, createConnection, type SidePlace } from "./connection.ts";
import type { NetworkContext } from "./host.ts";

/** How a try to connect ended. `none`: it was given up. */
export type Dialled =
  | { readonly kind: "reached"; readonly connection: Connection }
  | { readonly kind: Exclude<ProbeResult, "reached"> };

/** When TCP sends its first packet again, in milliseconds after the first: each pause is twice the one before. */
const knocksMs = [0, 1000, 3000, 7000, 15_000] as const;

/**
 * Connects to host:port. `onEnd` runs in the dialling process: reached when the other machine took the connection,
 * refused when nobody listens there, unreachable after `timeoutMs`. A machine takes connections for a process that
 * stands still, too. Returns what gives it up.
 */
export function dial(
  net: NetworkContext,
  from: SidePlace,
  to: { readonly host: string; readonly port: number; readonly timeoutMs: number },
  onEnd: (end: Dialled) => void,
): () => void {
  const { engine, links } = net;
  let isOver = false;
  const cancels: (() => void)[] = [];
  const stop = () => {
    isOver = true;
    for (const cancel of cancels) cancel();
  };
  const end = (answer: () => Dialled) => {
    if (isOver) return;
    stop();
    from.process.enter("input", () => onEnd(answer()));
  };

  const knock = () => {
    const host = net.host(to.host);
    if (isOver || host === undefined || !host.isPowered || links.isCut(from.host.name, to.host)) return;
    const listener = host.listeners.get(to.port);
    const answered = () => {
      if (isOver || !from.process.isAlive || links.isCut(to.host, from.host.name)) return;
      if (listener === undefined || !listener.process.isAlive) {
        end(() => ({ kind: "refused" }));
        return;
      }
      const pair = createConnection(net, from, { host, process: listener.process });
      listener.process.enter("input", () => listener.accept(pair.server));
      end(() => ({ kind: "reached", connection: pair.client }));
    };
    cancels.push(engine.after(links.delayMs(to.host, from.host.name), answered));
  };
  for (const afterMs of knocksMs) {
    if (afterMs < to.timeoutMs) cancels.push(engine.after(afterMs + links.delayMs(from.host.name, to.host), knock));
  }
  cancels.push(engine.after(to.timeoutMs, () => end(() => ({ kind: "unreachable" }))));
  return stop;
}
