import type { Dial, Dialled } from "@tidemark/consensus";
import { createDeferred } from "@tidemark/runtime";
import type { SidePlace } from "../network/connection.ts";
import type { Network } from "../network/network.ts";

/** Opens a connection and holds it, so that a process sees when its peer's is gone. */
export function dialFrom(network: Network, place: SidePlace): Dial {
  return (endpoint, timeoutMs) => {
    const [host = "", port] = endpoint.split(":");
    const dialled = createDeferred<Dialled>();
    network.dial(place, { host, port: Number(port), timeoutMs }, (end) => {
      if (end.kind !== "reached") {
        dialled.resolve({ kind: end.kind === "refused" ? "refused" : "silent" });
        return;
      }
      const { connection } = end;
      const closed = createDeferred();
      connection.onFrame = (frame) => {
        if (frame.kind === "ping") connection.send({ kind: "pong" });
      };
      connection.onBroken = () => closed.resolve();
      dialled.resolve({
        kind: "reached",
        closed: closed.promise,
        close() {
          connection.close();
          closed.resolve();
        },
      });
    });
    return dialled.promise;
  };
}
