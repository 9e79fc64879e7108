import type { SimProcess } from "../engine/sim-process.ts";
import { type Frame, sizeOf } from "./frames.ts";
import type { Host, NetworkContext } from "./host.ts";

/**
 * Why a connection is over at one side.
 *
 * | cause  | meaning                                                           |
 * |--------|-------------------------------------------------------------------|
 * | closed | the other side ended it, or its process did                       |
 * | reset  | the other machine says that it does not know it                   |
 * | silent | no answer came for too long                                       |
 */
export type BreakCause = "closed" | "reset" | "silent";

/**
 * One side of a TCP connection. What is sent arrives in the order in which it was sent, or not at all, and then nothing
 * after it. The sides may learn at different times that the connection is gone, and one of them never.
 */
export interface Connection {
  readonly local: Host;
  readonly remote: Host;
  readonly process: SimProcess;
  readonly isOpen: boolean;
  send(frame: Frame): void;
  /** Ends the connection here, now; the other side learns it behind what was sent. `onBroken` is not called. */
  close(): void;
  /** Ends the connection here, now, and says so. For whoever finds out that the other side is gone. */
  fail(cause: BreakCause): void;
  /** The machine loses all that it knows of the connection: the other side is not told. */
  forget(): void;
  /** Called in the process of this side with what the other side sent. */
  onFrame: (frame: Frame) => void;
  /** Called once, in the process of this side. */
  onBroken: (cause: BreakCause) => void;
}

/** Bytes that a link carries in a millisecond. */
const bytesPerMs = 1_000_000;

interface Packet {
  readonly atMs: number;
  /** "fin": the other side has ended the connection. */
  readonly frames: (Frame | "fin")[];
}

interface Side extends Connection {
  isOpen: boolean;
  peer: Side;
  /** On their way to this side, the earliest first. */
  inbound: Packet[];
  /** When the last packet from here was sent: what is sent at the same moment travels with it. */
  lastSentMs: number;
  /** What has come waits until the way here is mended. */
  isStuck: boolean;
  /** The calls that run, by their stream: both sides have the same map. */
  paths: Map<number, string>;
  /** What was held back of each stream. */
  readonly held: Map<number, HeldStream>;
}

interface HeldStream {
  /** When the last of it arrives at the other side. */
  untilMs: number;
  /** In the order in which they were sent. When its time has come, each goes on behind what is on its way by then. */
  readonly frames: Frame[];
}

export interface SidePlace {
  readonly host: Host;
  readonly process: SimProcess;
}

/** A connection that stands, seen from the client and from the server. */
export function createConnection(
  net: NetworkContext,
  client: SidePlace,
  server: SidePlace,
): { readonly client: Connection; readonly server: Connection } {
  const near = createSide(net, client, server.host);
  const far = createSide(net, server, client.host);
  near.peer = far;
  far.peer = near;
  far.paths = near.paths;
  return { client: near, server: far };
}

function createSide(net: NetworkContext, { host, process }: SidePlace, remote: Host): Side {
  const { engine, links } = net;
  const end = () => {
    side.isOpen = false;
    host.connections.delete(side);
  };
  const put = (frame: Frame | "fin", bytes: number) => {
    if (!side.isOpen) return;
    if (frame !== "fin" && isHeld(net, side, frame)) return;
    const to = side.peer;
    const last = to.inbound.at(-1);
    if (last !== undefined && side.lastSentMs === engine.nowMs) {
      last.frames.push(frame);
      return;
    }
    side.lastSentMs = engine.nowMs;
    const delayMs = links.delayMs(host.name, remote.name) + bytes / bytesPerMs;
    const atMs = Math.max(engine.nowMs + delayMs, last?.atMs ?? 0);
    to.inbound.push({ atMs, frames: [frame] });
    engine.after(atMs - engine.nowMs, () => deliver(net, to));
  };
  const side: Side = {
    local: host,
    remote,
    process,
    isOpen: true,
    // Set at once by whoever makes the pair.
    peer: undefined as unknown as Side,
    inbound: [],
    lastSentMs: -1,
    isStuck: false,
    paths: new Map(),
    held: new Map(),
    onFrame: () => undefined,
    onBroken: () => undefined,
    send: (frame) => put(frame, sizeOf(frame)),
    close() {
      put("fin", 0);
      end();
    },
    fail(cause) {
      if (!side.isOpen) return;
      end();
      side.onBroken(cause);
    },
    forget: end,
  };
  host.connections.add(side);
  return side;
}

/** Takes a frame that is to come later than what is sent after it on other streams. False: it goes its usual way. */
function isHeld(net: NetworkContext, side: Side, frame: Frame): boolean {
  if (!("stream" in frame)) return false;
  const { engine, links } = net;
  const { paths, local, remote, peer } = side;
  if (frame.kind === "headers") paths.set(frame.stream, frame.path);
  const path = paths.get(frame.stream);
  if (frame.kind === "status" || frame.kind === "reset") paths.delete(frame.stream);
  if (path === undefined) return false;
  const heldMs = links.heldMs(local.name, remote.name, path);
  const held = side.held.get(frame.stream) ?? { untilMs: 0, frames: [] };
  if (heldMs === 0 && held.untilMs <= engine.nowMs && held.frames.length === 0) return false;
  held.untilMs = Math.max(engine.nowMs + heldMs + links.delayMs(local.name, remote.name), held.untilMs);
  held.frames.push(frame);
  side.held.set(frame.stream, held);
  engine.after(held.untilMs - engine.nowMs, () => {
    const first = held.frames.shift();
    if (first === undefined) return;
    // Some of its stream may have gone the usual way before, and be on that way still: a cut can keep it there for longer.
    const lastMs = peer.inbound.at(-1)?.atMs ?? 0;
    peer.inbound.push({ atMs: Math.max(engine.nowMs, lastMs), frames: [first] });
    deliver(net, peer);
  });
  return true;
}

/** Lets arrive what has come by now. */
function deliver(net: NetworkContext, to: Side): void {
  const { engine, links } = net;
  const [first] = to.inbound;
  if (first === undefined || first.atMs > engine.nowMs || to.isStuck) return;
  if (links.isCut(to.remote.name, to.local.name)) {
    to.isStuck = true;
    links.whenMended(to.remote.name, to.local.name, () => {
      to.isStuck = false;
      deliver(net, to);
    });
    return;
  }
  const later = to.inbound.findIndex(({ atMs }) => atMs > engine.nowMs);
  const due = later < 0 ? to.inbound.splice(0) : to.inbound.splice(0, later);
  engine.hash.add(to.local.number * 65_536 + due.length);
  if (!to.isOpen || !to.process.isAlive) {
    refuse(net, to);
    return;
  }
  to.process.enter("input", () => {
    for (const { frames } of due) for (const frame of frames) take(to, frame);
  });
}

function take(side: Side, frame: Frame | "fin"): void {
  if (!side.isOpen) return;
  if (frame === "fin") side.fail("closed");
  else side.onFrame(frame);
}

/** Nobody here has this connection any more: a machine with power says so, one without says nothing. */
function refuse({ engine, links }: NetworkContext, to: Side): void {
  if (!to.local.isPowered || !to.peer.isOpen) return;
  const answer = () => {
    if (links.isCut(to.local.name, to.remote.name)) links.whenMended(to.local.name, to.remote.name, answer);
    else to.peer.process.enter("input", () => to.peer.fail("reset"));
  };
  engine.after(links.delayMs(to.local.name, to.remote.name), answer);
}
