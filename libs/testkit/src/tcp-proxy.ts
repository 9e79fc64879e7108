import { connect, createServer, type Socket } from "node:net";

/** Which way bytes go: from who connected to the proxy, or back to them. */
export type Direction = "toServer" | "toClient";

/** What the proxy does with the bytes of one direction. */
export type Forwarding =
  /** Hands them on. */
  | "pass"
  /** Keeps them until it passes again: a peer that is alive, and silent. */
  | "hold"
  /** Swallows them: packets that are lost for good, on a connection that stands. */
  | "drop";

/** A TCP proxy in this process: a link that a test can slow down, silence and break. */
export interface TcpProxy {
  readonly host: string;
  readonly port: number;
  /** Connections that are open now, and all that ever came. */
  readonly connections: { readonly open: number; readonly total: number };
  /** Bytes that came from each side so far, whatever became of them. */
  readonly received: Readonly<Record<Direction, number>>;
  /** For bytes that come from now on. Leaving "hold" hands on what was kept. */
  forward(direction: Direction, forwarding: Forwarding): void;
  /** Milliseconds that each byte takes, each way. For bytes that come from now on. */
  setDelay(delayMs: number): void;
  /** Resets every open connection. New ones are taken. */
  reset(): void;
  /** Where new connections lead. */
  setTarget(target: Target): void;
  /** Resets every connection and frees the port. */
  close(): Promise<void>;
}

export interface Target {
  readonly host?: string;
  readonly port: number;
}

/** Listens on a free port of 127.0.0.1. */
export async function createTcpProxy(options: {
  readonly target: Target;
  /** Each way. Absent: none. */
  readonly delayMs?: number;
}): Promise<TcpProxy> {
  const links = new Set<Link>();
  const received = { toServer: 0, toClient: 0 };
  const rules: LinkRules = { toServer: "pass", toClient: "pass", delayMs: options.delayMs ?? 0 };
  let target = options.target;
  let total = 0;

  const server = createServer({ noDelay: true }, (client) => {
    total += 1;
    const upstream = connect({ host: target.host ?? "127.0.0.1", port: target.port, noDelay: true });
    const link = createLink(client, upstream, rules, (direction, length) => {
      received[direction] += length;
    });
    links.add(link);
    link.onClosed(() => links.delete(link));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The proxy has no TCP port.");

  const reset = () => {
    for (const link of links) link.reset();
  };
  return {
    host: "127.0.0.1",
    port: address.port,
    get connections() {
      return { open: links.size, total };
    },
    received,
    forward(direction, forwarding) {
      rules[direction] = forwarding;
      for (const link of links) link.update(direction);
    },
    setDelay(delayMs) {
      rules.delayMs = delayMs;
    },
    reset,
    setTarget(next) {
      target = next;
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      reset();
      await closed;
    },
  };
}

interface LinkRules {
  toServer: Forwarding;
  toClient: Forwarding;
  delayMs: number;
}

interface Link {
  update(direction: Direction): void;
  reset(): void;
  onClosed(done: () => void): void;
}

function createLink(
  client: Socket,
  upstream: Socket,
  rules: LinkRules,
  onBytes: (direction: Direction, length: number) => void,
): Link {
  const reset = () => {
    client.resetAndDestroy();
    upstream.resetAndDestroy();
  };
  const pipes = {
    toServer: createPipe(client, upstream, () => rules.toServer, rules),
    toClient: createPipe(upstream, client, () => rules.toClient, rules),
  };
  client.on("data", (bytes: Buffer) => onBytes("toServer", bytes.length));
  upstream.on("data", (bytes: Buffer) => onBytes("toClient", bytes.length));
  client.on("error", reset);
  upstream.on("error", reset);
  return {
    update: (direction) => pipes[direction].update(),
    reset,
    onClosed: (done) => client.once("close", done),
  };
}

/** Hands on what comes from `from`, in order, each piece after its delay. */
function createPipe(from: Socket, to: Socket, forwarding: () => Forwarding, rules: LinkRules) {
  const held: (Buffer | "end")[] = [];

  const delayed: (Buffer | "end")[] = [];

  const deliver = (piece: Buffer | "end") => {
    if (to.destroyed) return;
    if (piece === "end") to.end();
    else if (!to.write(piece)) {
      from.pause();
      to.once("drain", () => from.resume());
    }
  };
  // Each timer hands on the oldest piece, whichever it was made for: the order stays when the delay gets shorter.
  const deliverOldest = () => {
    const piece = delayed.shift();
    if (piece !== undefined) deliver(piece);
  };
  const send = (piece: Buffer | "end") => {
    if (rules.delayMs === 0 && delayed.length === 0) {
      deliver(piece);
      return;
    }
    delayed.push(piece);
    setTimeout(deliverOldest, rules.delayMs);
  };
  const take = (piece: Buffer | "end") => {
    switch (forwarding()) {
      case "pass":
        send(piece);
        return;
      case "hold":
        held.push(piece);
        return;
      case "drop":
        return;
    }
  };
  from.on("data", take);
  from.on("end", () => take("end"));
  return {
    update() {
      if (forwarding() === "hold") return;
      for (const piece of held.splice(0)) if (forwarding() === "pass") send(piece);
    },
  };
}
