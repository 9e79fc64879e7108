/** The logs of one directory that are open, each once: two writers on the same files would destroy them. */
import { DiskError } from "@tidemark/disk";
import { LogError } from "../errors.ts";
import type { Log } from "../log.ts";
import { join } from "../names.ts";
import { isSpaceError } from "../space.ts";

export interface OpenedLogs {
  /** Fails with LOCKED while the log of that name is open or being opened, and with CLOSED when all are closed. */
  open(name: string, work: () => Promise<Log>): Promise<Log>;
  /** Closes the log of that name, also one that is being opened, before its files go. */
  forget(name: string): Promise<void>;
  /** Closes all of them, also those that are being opened. False where one was not closed cleanly. */
  close(): Promise<boolean>;
}

export function createOpenedLogs(directory: string): OpenedLogs {
  const logs = new Map<string, Log>();
  const opening = new Map<string, Promise<Log>>();
  let isClosed = false;

  const openAfter = async (before: Log | undefined, name: string, work: () => Promise<Log>) => {
    // Its status says so before the last of its writes has ended. How it was closed, whoever closed it heard.
    await Promise.allSettled([before?.close()]);
    const log = await work();
    logs.set(name, log);
    return log;
  };

  return {
    async open(name, work) {
      if (isClosed) throw new LogError("CLOSED", `${directory} is closed`);
      const before = logs.get(name);
      if (opening.has(name) || (before !== undefined && before.status.kind !== "closed"))
        throw new DiskError("LOCKED", "open", join(directory, name));
      const log = openAfter(before, name, work);
      opening.set(name, log);
      try {
        return await log;
      } finally {
        opening.delete(name);
      }
    },
    async forget(name) {
      await Promise.allSettled([opening.get(name)]);
      await logs.get(name)?.close().catch(unlessFull);
      logs.delete(name);
    },
    async close() {
      isClosed = true;
      await Promise.allSettled(opening.values());
      const closed = await Promise.allSettled([...logs.values()].map((log) => log.close()));
      return closed.every(({ status }) => status === "fulfilled");
    },
  };
}

/** What could not be flushed for want of room is still there, or is to go anyway. */
function unlessFull(error: unknown): void {
  if (!isSpaceError(error) && !(error instanceof LogError && error.code === "NO_SPACE")) throw error;
}
