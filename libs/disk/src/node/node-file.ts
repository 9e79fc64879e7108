import * as fs from "node:fs";
import { createDeferred, type Deferred } from "@tidemark/runtime";
import { DiskError, type DiskFile } from "../disk.ts";
import type { Operations } from "./operations.ts";

/** As many buffers as one writev takes on Linux (IOV_MAX). */
const buffersPerWrite = 1024;

/** A file that is open under the descriptor `fd`. */
export function createNodeFile(fd: number, path: string, operations: Operations): DiskFile {
  let underWay = 0;
  let closing: Deferred<void> | undefined;

  const run = async <Value>(
    kind: "sync" | "other",
    name: string,
    call: (done: (error: Error | null, value: Value) => void) => void,
  ): Promise<Value> => {
    if (closing !== undefined) throw new DiskError("CLOSED", name, path);
    underWay++;
    // The descriptor is closed only when the calls have truly ended, hung ones too: its number may be used again.
    return operations.run<Value>(kind, name, path, (done) => {
      call((error, value) => {
        if (--underWay === 0) closing?.resolve();
        done(error, value);
      });
    });
  };

  return {
    size: () => run("other", "fstat", (done) => fs.fstat(fd, (error, stats) => done(error, error ? 0 : stats.size))),
    async read(position, length, into) {
      const bytes = into?.subarray(0, length) ?? Buffer.allocUnsafeSlow(length);
      let filled = 0;
      while (filled < length) {
        const from = filled;
        const read = await run<number>("other", "read", (done) =>
          fs.read(fd, bytes, from, length - from, position + from, done),
        );
        if (read === 0) break;
        filled += read;
      }
      return filled === length ? bytes : bytes.subarray(0, filled);
    },
    async write(position, chunks) {
      let at = position;
      let rest: readonly Uint8Array[] = chunks;
      while (rest.length > 0) {
        const part = rest.length > buffersPerWrite ? rest.slice(0, buffersPerWrite) : rest;
        const from = at;
        const written = await run<number>("other", "write", (done) => fs.writev(fd, part, from, done));
        at += written;
        rest = behind(rest, written);
      }
    },
    truncate: (size) => run("other", "ftruncate", (done) => fs.ftruncate(fd, size, (error) => done(error, undefined))),
    sync: () => run("sync", "fdatasync", (done) => fs.fdatasync(fd, (error) => done(error, undefined))),
    async close() {
      if (closing !== undefined) return closing.promise;
      closing = createDeferred();
      if (underWay === 0) closing.resolve();
      await closing.promise;
      await operations.run("other", "close", path, (done) => fs.close(fd, (error) => done(error ?? null, undefined)));
    },
  };
}

/** What is left of `chunks` behind their first `count` bytes. */
function behind(chunks: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let left = count;
  for (let index = 0; index < chunks.length; index++) {
    const chunk = chunks[index];
    if (chunk === undefined) break;
    if (left < chunk.length) return [chunk.subarray(left), ...chunks.slice(index + 1)];
    left -= chunk.length;
  }
  return [];
}
