import { createReadStream, fstatSync, openSync } from "node:fs";
import { resolve } from "node:path";
import type { Io } from "../io.ts";
import { UsageError } from "../settings.ts";

/** What is to be produced. */
export interface Input {
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Undefined where it is not known. */
  readonly totalBytes: number | undefined;
}

const chunkBytes = 256 * 1024;

/** The file, or standard input where none is named. Ends early, without an error, when `signal` is aborted. */
export function openInput(io: Io, file: string | undefined, signal: AbortSignal): Input {
  if (file === undefined)
    return { bytes: untilAborted(io.stdin as NodeJS.ReadableStream & Destroyable, signal), totalBytes: undefined };
  const path = resolve(io.workingDirectory, file);
  try {
    const fd = openSync(path, "r");
    const stats = fstatSync(fd);
    if (stats.isDirectory()) throw new UsageError(`${path} is a folder; name a file.`);
    const stream = createReadStream(path, { fd, highWaterMark: chunkBytes });
    return { bytes: untilAborted(stream, signal), totalBytes: stats.isFile() ? stats.size : undefined };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`The file ${path} cannot be read: ${(error as Error).message}`);
  }
}

interface Destroyable {
  destroy(): unknown;
}

async function* untilAborted(
  stream: AsyncIterable<Buffer | string> & Destroyable,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const stop = () => {
    stream.destroy();
  };
  signal.addEventListener("abort", stop, { once: true });
  try {
    for await (const chunk of stream) {
      if (signal.aborted) return;
      yield typeof chunk === "string" ? Buffer.from(chunk) : chunk;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
