import * as fs from "node:fs";
import { createDeferred, type Deferred } from "@tidemark/runtime";
import { DiskError, type DiskFile } from "../disk.ts";
import type { Operations } from "./operations.ts";

/** As many buffers as one writev takes on Linux (IOV_MAX). */
const buffersPerWrite = 1024;

type Call<Value> = (done: (error: Error | null, value: Value) => void) => void;

/** A file that is open under the descriptor `fd`. */
export function createNodeFile(fd: number, path: string, operations: Operations): DiskFile {
  let underWay = 0;
  let closing: Deferred<void> | undefined;

  const leave = () => {
    if (--underWay === 0) closing?.resolve();
  };
  /** An operation is under way between its calls too. */
  const perform = async <Value>(name: string, work: () => Promise<Value>): Promise<Value> => {
    if (closing !== undefined) throw new DiskError("CLOSED", name, path);
    underWay++;
    try {
      return await work();
    } finally {
      leave();
    }
  };
  const call = <Value>(kind: "sync" | "other", name: string, start: Call<Value>): Promise<Value> => {
    underWay++;
    // The descriptor is closed only when the calls have truly ended, hung ones too: its number may be used again.
    return operations.run<Value>(kind, name, path, (done) => {
      start((error, value) => {
        leave();
        done(error, value);
      });
    });
  };
  const run = <Value>(kind: "sync" | "other", name: string, start: Call<Value>): Promise<Value> =>
    perform(name, () => call(kind, name, start));

  return {
    size: () => run("other", "fstat", (done) => fs.fstat(fd, (error, stats) => done(error, error ? 0 : stats.size))),
    read: (position, length, into) =>
      perform("read", async () => {
        const bytes = into?.subarray(0, length) ?? Buffer.allocUnsafeSlow(length);
        let filled = 0;
        while (filled < length) {
          const from = filled;
          const read = await call<number>("other", "read", (done) =>
            fs.read(fd, bytes, from, length - from, position + from, done),
          );
          if (read === 0) break;
          filled += read;
        }
        return filled === length ? bytes : bytes.subarray(0, filled);
      }),
    write: (position, chunks) =>
      perform("write", async () => {
        let at = position;
        let rest: readonly Uint8Array[] = chunks;
        while (rest.length > 0) {
          const part = rest.length > buffersPerWrite ? rest.slice(0, buffersPerWrite) : rest;
          const from = at;
          const written = await call<number>("other", "write", (done) => fs.writev(fd, part, from, done));
          at += written;
          rest = behind(rest, written);
        }
      }),
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
