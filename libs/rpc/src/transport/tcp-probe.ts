import { connect } from "node:net";
import type { Probe } from "./transport.ts";

/** Opens a TCP connection and closes it at once. */
export const tcpProbe: Probe = ({ host, port }, timeoutMs) =>
  new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const finish = (result: Awaited<ReturnType<Probe>>) => {
      resolve(result);
      socket.destroy();
    };
    socket.once("connect", () => finish("reached"));
    socket.once("timeout", () => finish("unreachable"));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      finish(error.code === "ECONNREFUSED" ? "refused" : "unreachable");
    });
  });
