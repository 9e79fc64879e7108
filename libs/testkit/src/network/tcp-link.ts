import type { Socket } from "node:net";

/** Which way bytes go: from who connected, or back to them. */
export type Direction = "toServer" | "toClient";

/** What becomes of the bytes of one direction. */
export type Forwarding =
  /** Handed on. */
  | "pass"
  /** Kept until it passes again: a peer that is alive, and silent. */
  | "hold"
  /** Swallowed: packets that are lost for good, on a connection that stands. */
  | "drop";

/** Looked at for each piece of bytes. `delayMs`: milliseconds that each takes. */
export interface LinkRules {
  readonly toServer: Forwarding;
  readonly toClient: Forwarding;
  readonly delayMs: number;
}

/** Two connections, of which each hands on what comes by the other. */
export interface Link {
  /** The rule of a direction changed: what was kept may go on. */
  update(direction: Direction): void;
  reset(): void;
  onClosed(done: () => void): void;
}

/** `onBytes` is told of what comes, whatever becomes of it. */
export function createLink(
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
