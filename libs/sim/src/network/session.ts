import type { Keepalive } from "@tidemark/rpc";
import type { BreakCause, Connection } from "./connection.ts";
import type { Frame, StreamFrame } from "./frames.ts";

/** One side of an HTTP/2 session: its streams, and its pings. */
export interface Session {
  readonly connection: Connection;
  /** Streams that are open. */
  streamCount(): number;
  /** Begins a stream, under the number of the peer's or a new one. */
  begin(handlers: StreamHandlers, number?: number): SessionStream;
  close(): void;
}

export interface SessionStream {
  readonly number: number;
  send(frame: StreamFrame): void;
  /** Nothing more comes on it or goes by it. */
  end(): void;
}

/** What a session tells a stream. */
export interface StreamHandlers {
  onFrame(frame: StreamFrame): void;
  onBroken(cause: BreakCause): void;
}

/** What a session tells its owner. */
export interface SessionHandlers {
  /** The server is ready. */
  onSettings?(): void;
  onGoAway?(): void;
  /** A peer begins a stream. */
  onHeaders?(frame: StreamFrame & { readonly kind: "headers" }): void;
  /** After its streams were told. */
  onBroken(cause: BreakCause): void;
  /** The last stream has ended. */
  onIdle?(): void;
}

interface OpenStream {
  readonly number: number;
  readonly handlers: StreamHandlers;
}

/**
 * A session over a connection. Where nothing is heard for the keepalive's time the peer is asked, and without an answer
 * the connection is given up.
 */
export function createSession(connection: Connection, keepalive: Keepalive, handlers: SessionHandlers): Session {
  // An array, for the same reason as a Bag.
  let streams: OpenStream[] = [];
  const { clock, scheduler } = connection.process.runtime;
  let lastNumber = 0;
  let heardMs = clock.monotonicMs();
  let cancelTimer = () => {};

  const watch = () => {
    const silentMs = clock.monotonicMs() - heardMs;
    if (silentMs < keepalive.timeMs) {
      cancelTimer = scheduler.after(keepalive.timeMs - silentMs, watch);
      return;
    }
    connection.send({ kind: "ping" });
    const askedMs = clock.monotonicMs();
    cancelTimer = scheduler.after(keepalive.timeoutMs, () => {
      // What has arrived is read first: a process that stood still would else call its peer silent.
      cancelTimer = scheduler.afterInput(() => {
        if (heardMs > askedMs) watch();
        else connection.fail("silent");
      });
    });
  };

  connection.onFrame = (frame: Frame) => {
    heardMs = clock.monotonicMs();
    switch (frame.kind) {
      case "settings":
        handlers.onSettings?.();
        return;
      case "goAway":
        handlers.onGoAway?.();
        return;
      case "ping":
        connection.send({ kind: "pong" });
        return;
      case "pong":
      case "value":
        return;
      case "headers":
        handlers.onHeaders?.(frame);
        return;
      case "data":
      case "windowUpdate":
      case "endStream":
      case "reset":
      case "status":
        // What comes for a stream that has ended was on its way.
        for (const { number, handlers: stream } of streams) {
          if (number !== frame.stream) continue;
          stream.onFrame(frame);
          return;
        }
    }
  };
  connection.onBroken = (cause) => {
    cancelTimer();
    const broken = streams;
    streams = [];
    for (const { handlers: stream } of broken) stream.onBroken(cause);
    handlers.onBroken(cause);
  };
  watch();

  return {
    connection,
    streamCount: () => streams.length,
    begin(stream, number = (lastNumber += 2)) {
      const open = { number, handlers: stream };
      streams.push(open);
      return {
        number,
        send: (frame) => connection.send(frame),
        end() {
          const index = streams.indexOf(open);
          if (index < 0) return;
          streams.splice(index, 1);
          if (streams.length === 0) handlers.onIdle?.();
        },
      };
    },
    close() {
      cancelTimer();
      connection.close();
    },
  };
}
