/**
 * Loaded into a process before its program (`node --import`): whatever it connects to, it connects to the relay that
 * TIDEMARK_TEST_RELAY names, and says first who it is and whom it wanted. So a test can part real processes from each
 * other on any machine, without rights.
 */
import { Socket } from "node:net";

const relayPort = Number(process.env["TIDEMARK_TEST_RELAY"]);
const connect = Reflect.get(Socket.prototype, "connect") as (this: Socket, ...args: unknown[]) => Socket;

/** The options of a connect, in any of the forms in which Node.js hands them over. Undefined: another form. */
function optionsOf(first: unknown): { port?: number | string; host?: string } | undefined {
  const options: unknown = Array.isArray(first) ? first[0] : first;
  return typeof options === "object" && options !== null ? options : undefined;
}

function connectThrough(this: Socket, ...args: unknown[]): Socket {
  const options = optionsOf(args[0]);
  if (options?.port === undefined) return connect.apply(this, args);
  const wanted = `${process.pid} ${options.host ?? "127.0.0.1"} ${options.port}\n`;
  // A copy: whoever connects again with the same options wants the same place.
  const through = { ...options, host: "127.0.0.1", port: relayPort };
  if (Array.isArray(args[0])) args[0][0] = through;
  else args[0] = through;
  const socket = connect.apply(this, args);
  socket.write(wanted);
  return socket;
}

Socket.prototype.connect = connectThrough;
