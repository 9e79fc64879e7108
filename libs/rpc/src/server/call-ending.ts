import { Metadata, status } from "@grpc/grpc-js";
import { toGrpcStatus } from "../errors/grpc-status.ts";
import type { TidemarkError } from "../errors/tidemark-error.ts";
import { type DefectHook, toTidemarkError } from "../errors/to-error.ts";
import type { ServerWire } from "./server-wire.ts";

/** Ends a call exactly once, whoever asks first: the handler, its deadline, the caller, the stop of the server. */
export interface CallEnding {
  over(): boolean;
  /** Ends it well, after what was written. */
  finish(): void;
  readonly fail: (error: TidemarkError) => void;
  /** It is over on the wire already. */
  lost(error: TidemarkError): void;
  /** Runs what belongs to the handler: what it throws ends the call. */
  guard(step: () => void): void;
  /** Sent with the status. */
  readonly trailers: Metadata;
}

/** `onOver` is called once, with the status that the call ended with. */
export function createCallEnding(options: {
  readonly wire: ServerWire;
  readonly methodName: string;
  readonly onDefect: DefectHook;
  readonly onOver: (code: status, error: TidemarkError | undefined) => void;
}): CallEnding {
  const { wire, methodName, onDefect } = options;
  const trailers = new Metadata();
  let isOver = false;

  const close = (code: status, error: TidemarkError | undefined) => {
    isOver = true;
    try {
      options.onOver(code, error);
    } catch (thrown) {
      onDefect(thrown, methodName);
    }
  };
  const fail = (error: TidemarkError) => {
    if (isOver) return;
    wire.sendStatus(toGrpcStatus(error, trailers));
    close(error.grpcStatus, error);
  };

  return {
    trailers,
    over: () => isOver,
    fail,
    finish() {
      if (isOver) return;
      wire.sendStatus({ code: status.OK, details: "OK", metadata: trailers });
      close(status.OK, undefined);
    },
    lost(error) {
      if (!isOver) close(error.grpcStatus, error);
    },
    guard(step) {
      try {
        step();
      } catch (thrown) {
        fail(toTidemarkError(thrown, methodName, onDefect));
      }
    },
  };
}
