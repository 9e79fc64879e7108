/** `damage`: why a replica is offline, kept until the replica is given up (L10). */
import { type DirectoryEntry, readWholeFile } from "@tidemark/disk";
import type { Offset } from "@tidemark/ids";
import { createAside } from "../aside.ts";
import { type LogContext, syncEntries } from "../context.ts";
import type { Damage, DamageKind } from "../errors.ts";
import { damageFileName, join, parentOf } from "../names.ts";
import { ifReadable } from "../unreadable.ts";

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

/** What was noted, where there is a note among the entries of the directory. */
export async function readDamage(
  context: LogContext,
  directory: string,
  entries: readonly DirectoryEntry[],
): Promise<Damage | undefined> {
  const note = entries.find(({ name }) => name === damageFileName);
  if (note === undefined) return undefined;
  if (note.kind === "directory") return unclearDamage("by a directory");
  const bytes = await ifReadable(() => readWholeFile(context.disk, join(directory, damageFileName)));
  return bytes === undefined ? unclearDamage("but not to be read") : parse(new TextDecoder().decode(bytes));
}

/** A note that cannot be read is still one. */
function unclearDamage(text: string): Damage {
  return { kind: "unreadable", offset: 0n as Offset, detail: `Damage was noted: ${text.trim()}` };
}

function parse(text: string): Damage {
  const unclear = unclearDamage(text);
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
