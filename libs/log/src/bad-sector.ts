import { DiskError } from "@tidemark/disk";
import type { LogContext } from "./context.ts";
import { DamageError, type LogError } from "./errors.ts";

/**
 * Bytes that the device does not give back are one replica's trouble, a bad sector, as long as it gives others (case 20l).
 * Where it does not give the directory's own file either, nobody knows of damage: the directory is out of service, and
 * what it holds counts as eligible, not as lost (L6, D8). Returns that failure; undefined where `error` says nothing of it.
 *
 * A system that has the directory's file in memory gives it in spite of a device that fails. Then each replica is found
 * by itself, as if its own sector were bad.
 */
export async function failureOfDevice(context: LogContext, error: unknown): Promise<LogError | undefined> {
  const cause = error instanceof DamageError ? error.cause : error;
  if (!(cause instanceof DiskError) || cause.code !== "IO" || cause.operation !== "read") return undefined;
  try {
    await context.readOwnFile?.();
    return undefined;
  } catch (failure) {
    if (!(failure instanceof DiskError) || (failure.code !== "IO" && failure.code !== "HUNG")) return undefined;
    return context.fail(cause, "reading, and gives no other file back");
  }
}
