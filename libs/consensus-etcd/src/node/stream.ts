import type { IDuplexStream } from "etcd3";
import { EtcdError, type StreamHandlers } from "../stubs.ts";
import { errorOf } from "./error-of.ts";

/** A stream of the `etcd3` package that opens in its own time. What is written before waits. */
export function openStream<Sent, Received, Message>(
  opening: Promise<IDuplexStream<Sent, Received>>,
  read: (received: Received) => Message,
  handlers: StreamHandlers<Message>,
): { write(message: Sent): void; close(): void } {
  let stream: IDuplexStream<Sent, Received> | undefined;
  let isOver = false;
  const waiting: Sent[] = [];

  const end = (error: EtcdError) => {
    if (isOver) return;
    isOver = true;
    stream?.cancel();
    handlers.onEnd(error);
  };

  opening.then(
    (opened) => {
      stream = opened;
      // Always listened to: a stream that was closed ends with an error, too.
      opened.on("error", (error) => end(errorOf(error)));
      if (isOver) {
        opened.cancel();
        return;
      }
      opened.on("end", () => end(new EtcdError("LOST", "etcd ended the stream")));
      opened.on("data", (received) => {
        if (!isOver) handlers.onMessage(read(received));
      });
      for (const message of waiting.splice(0)) opened.write(message);
    },
    (error: unknown) => end(errorOf(error)),
  );

  return {
    write(message) {
      if (isOver) return;
      if (stream === undefined) waiting.push(message);
      else stream.write(message);
    },
    close() {
      if (isOver) return;
      isOver = true;
      stream?.cancel();
    },
  };
}
