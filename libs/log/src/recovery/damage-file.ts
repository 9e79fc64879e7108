/** `damage`: why a replica is offline, kept until the replica is given up (L10). */
import { DiskError } from "@tidemark/disk";
import type { Offset } from "@tidemark/ids";
import { createAside } from "../aside.ts";
import { type LogContext, syncEntries } from "../context.ts";
import type { Damage, DamageKind } from "../errors.ts";
import { damageFileName, join, parentOf } from "../names.ts";

const kinds: readonly DamageKind[] = ["corruptBatch", "unreadable", "shortLog", "brokenSequence", "missing"];

/** Durable on return. There is none before: a log whose damage was noted is opened offline and finds nothing more. */
export async function writeDamage(context: LogContext, directory: string, damage: Damage): Promise<void> {
  if (!context.guards.noteDamage) return;
  // Of a replica that is missing, even the directory is.
  await context.disk.makeDirectory(directory);
  await syncEntries(context, parentOf(directory));
  const text = JSON.stringify({ ...damage, offset: damage.offset.toString() });
  await createAside(context, directory, damageFileName, new TextEncoder().encode(`${text}\n`));
}

export async function readDamage(context: LogContext, directory: string): Promise<Damage | undefined> {
  let bytes: Uint8Array;
  try {
    const file = await context.disk.open(join(directory, damageFileName), { readOnly: true });
    try {
      bytes = await file.read(0, await file.size());
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof DiskError && error.code === "NOT_FOUND") return undefined;
    throw error;
  }
  return parse(new TextDecoder().decode(bytes));
}

/** A note that cannot be read is still one. */
function parse(text: string): Damage {
  const unclear: Damage = { kind: "unreadable", offset: 0n as Offset, detail: `Damage was noted: ${text.trim()}` };
  try {
    const noted: unknown = JSON.parse(text);
    if (typeof noted !== "object" || noted === null) return unclear;
    const { kind, offset, detail } = noted as Record<string, unknown>;
    const known = kinds.find((name) => name === kind);
    if (known === undefined || typeof offset !== "string" || !/^\d+$/.test(offset)) return unclear;
    return { kind: known, offset: BigInt(offset) as Offset, detail: typeof detail === "string" ? detail : "" };
  } catch {
    return unclear;
  }
}
