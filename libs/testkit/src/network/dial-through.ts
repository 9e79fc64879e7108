/**
 * Loaded into a process before its program (`node --import`): whatever it connects to, it connects to the relay that
 * TIDEMARK_TEST_RELAY names, and says first who it is and whom it wanted. So a test can part real processes from each
 * other on any machine, without rights.
 *
 * Where a socket would look up its host, the relay is asked to dial: where it is refused, so is the socket, as it would
 * be without a relay.
 */
import { type LookupFunction, Socket } from "node:net";

const relayPort = Number(process.env["TIDEMARK_TEST_RELAY"]);
const connect = Reflect.get(Socket.prototype, "connect") as (this: Socket, ...args: unknown[]) => Socket;

/** The options of a connect, in any of the forms in which Node.js hands them over. Undefined: another form. */
function optionsOf(first: unknown): { port?: number | string; host?: string } | undefined {
  const options: unknown = Array.isArray(first) ? first[0] : first;
  return typeof options === "object" && options !== null ? options : undefined;
}

const relayHost = "127.0.0.1";
let dials = 0;

/** Has the relay dial: resolves when the connection stands there, or with what it met. */
function dial(wanted: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const asking = connect.call(new Socket(), { host: relayHost, port: relayPort });
    asking.on("data", (piece) => (answer += piece.toString("latin1")));
    asking.on("error", reject);
    asking.on("close", () => resolve(answer));
    asking.write(`dial ${wanted}`);
  });
}

function connectThrough(this: Socket, ...args: unknown[]): Socket {
  const options = optionsOf(args[0]);
  if (options?.port === undefined) return connect.apply(this, args);
  const { host = relayHost, port } = options;
  const wanted = `${process.pid} ${host} ${port} ${++dials}\n`;
  const lookup: LookupFunction = (_, __, found) => {
    dial(wanted).then(
      (answer) => {
        const refusal = `connect ECONNREFUSED ${host}:${port}`;
        const error = { code: "ECONNREFUSED", syscall: "connect", address: host, port: Number(port) };
        if (answer === "refused") found(Object.assign(new Error(refusal), error), "", 4);
        else found(null, relayHost, 4);
      },
      (error: unknown) => found(error instanceof Error ? error : new Error(String(error)), "", 4),
    );
  };
  // A copy: whoever connects again with the same options wants the same place.
  const through = { ...options, host: "relay.invalid", port: relayPort, lookup, autoSelectFamily: false };
  if (Array.isArray(args[0])) args[0][0] = through;
  else args[0] = through;
  const socket = connect.apply(this, args);
  socket.write(wanted);
  return socket;
}

Socket.prototype.connect = connectThrough;
