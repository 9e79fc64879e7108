import type { Offset } from "@tidemark/ids";

/** Kafka's names of files: the base offset of the segment in twenty digits, then what it is (L2). */
const digits = 20;

const fileKinds = { log: ".log", index: ".index", timeIndex: ".timeindex", snapshot: ".snapshot" } as const;
export type FileKind = keyof typeof fileKinds;

export const epochFileName = "leader-epoch-checkpoint";
export const offsetFileName = "offset-checkpoint";
export const damageFileName = "damage";
export const gapsFileName = "gaps";
export const cleanerFileName = "cleaner-offset-checkpoint";
export const cutNoteFileName = "cut-note";
/** Written and not yet renamed to what it is to be. Never read: removed at the next start. */
export const asideSuffix = ".aside";
/** The same of what compaction writes: its name must not be taken for a tail that a start was writing anew. */
export const cleanedSuffix = `.cleaned${asideSuffix}`;

export function segmentFileName(baseOffset: Offset, kind: FileKind): string {
  return padded(baseOffset) + fileKinds[kind];
}

/** What the name of a segment's file says, or undefined if it is none. */
export function parseSegmentFileName(
  name: string,
): { readonly baseOffset: Offset; readonly kind: FileKind } | undefined {
  const number = name.slice(0, digits);
  const ending = name.slice(digits);
  if (!/^\d{20}$/.test(number)) return undefined;
  for (const [kind, suffix] of Object.entries(fileKinds)) {
    if (ending === suffix) return { baseOffset: BigInt(number) as Offset, kind: kind as FileKind };
  }
  return undefined;
}

/** A segment on its way into the place of those with base offsets from its own to below `nextOffset`. */
export function swapFileName(segment: { readonly baseOffset: Offset; readonly nextOffset: Offset }): string {
  return `${padded(segment.baseOffset)}.${padded(segment.nextOffset)}.swap`;
}

/** What the name of a swap file says, or undefined if it is none. */
export function parseSwapFileName(
  name: string,
): { readonly baseOffset: Offset; readonly nextOffset: Offset } | undefined {
  const found = /^(\d{20})\.(\d{20})\.swap$/.exec(name);
  if (found?.[1] === undefined || found[2] === undefined) return undefined;
  return { baseOffset: BigInt(found[1]) as Offset, nextOffset: BigInt(found[2]) as Offset };
}

function padded(offset: Offset): string {
  return offset.toString().padStart(digits, "0");
}

export function join(directory: string, name: string): string {
  return directory.endsWith("/") ? directory + name : `${directory}/${name}`;
}

/** The directory in which `path` is. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf("/")));
}
