import { connect } from "node:net";
import type { Dial, Dialled } from "@tidemark/consensus";
import { createDeferred } from "@tidemark/runtime";

/** Opens a TCP connection and holds it, without a byte. */
export const tcpDial: Dial = (endpoint, timeoutMs) => {
  const at = endpoint.lastIndexOf(":");
  const host = endpoint.slice(0, at).replace(/^\[(.*)\]$/, "$1");
  const socket = connect({ host, port: Number(endpoint.slice(at + 1)), timeout: timeoutMs });
  const dialled = createDeferred<Dialled>();
  const closed = createDeferred();
  socket.once("connect", () => {
    socket.setTimeout(0);
    // Read and dropped, so that the other side's end is seen.
    socket.resume();
    dialled.resolve({ kind: "reached", closed: closed.promise, close: () => socket.destroy() });
  });
  socket.once("timeout", () => socket.destroy());
  socket.once("error", (error: NodeJS.ErrnoException) => {
    dialled.resolve({ kind: error.code === "ECONNREFUSED" ? "refused" : "silent" });
  });
  socket.once("close", () => {
    dialled.resolve({ kind: "silent" });
    closed.resolve();
  });
  return dialled.promise;
};
