import { copyBytes, resizeBytes, writeBytes } from "./bytes.ts";
import { applyToBytes } from "./changes.ts";
import {
  applyToDirectory,
  type DirectoryNode,
  type DirectoryOperation,
  type FileNode,
  type FileOperation,
  newDirectory,
  type TreeNode,
} from "./tree.ts";

/** A device writes a sector whole or not at all. Bytes. */
export const sectorSize = 512;

/** An operation that no sync has made durable when the power fails. */
export type Unflushed =
  | { readonly of: "file"; readonly path: string; readonly operation: FileOperation }
  | { readonly of: "directory"; readonly path: string; readonly operation: DirectoryOperation };

/**
 * | fate    | meaning                                                                        |
 * |---------|--------------------------------------------------------------------------------|
 * | kept    | it reached the medium                                                          |
 * | dropped | it did not                                                                     |
 * | torn    | of a write, the sectors (counted from the start of the file) that were reached |
 */
export type Fate =
  | { readonly kind: "kept" }
  | { readonly kind: "dropped" }
  | { readonly kind: "torn"; readonly reached: (sector: number) => boolean };

/** Decides for each unflushed operation, asked in an order that depends on the tree alone. */
export type PowerLoss = (unflushed: Unflushed) => Fate;

export const dropAll: PowerLoss = () => ({ kind: "dropped" });
export const keepAll: PowerLoss = () => ({ kind: "kept" });

/** The tree that is found when power is back. `root` itself is left as it is. */
export function afterPowerLoss(root: DirectoryNode, loss: PowerLoss): DirectoryNode {
  const done = new Map<TreeNode, TreeNode>();

  const survive = (node: TreeNode, path: string): TreeNode => {
    const known = done.get(node);
    if (known !== undefined) return known;
    const survived = node.kind === "file" ? surviveFile(node, path, loss) : newDirectory();
    done.set(node, survived);
    if (node.kind === "directory" && survived.kind === "directory") {
      for (const [name, child] of survivingEntries(node, path, loss)) {
        const kept = survive(child, `${path}/${name}`);
        survived.seen.set(name, kept);
        survived.durable.set(name, kept);
      }
    }
    return survived;
  };

  const survived = survive(root, "");
  return survived.kind === "directory" ? survived : newDirectory();
}

function survivingEntries(node: DirectoryNode, path: string, loss: PowerLoss): [string, TreeNode][] {
  const entries = new Map(node.durable);
  for (const operation of node.pending) {
    if (loss({ of: "directory", path, operation }).kind !== "dropped") applyToDirectory(entries, operation);
  }
  return [...entries].sort(([a], [b]) => (a < b ? -1 : 1));
}

function surviveFile(node: FileNode, path: string, loss: PowerLoss): FileNode {
  const bytes = copyBytes(node.durable);
  for (const operation of node.pending) {
    if (operation.lost) continue;
    const fate = loss({ of: "file", path, operation });
    switch (fate.kind) {
      case "kept":
        applyToBytes(bytes, operation);
        break;
      case "dropped":
        break;
      case "torn":
        if (operation.kind === "write") writeTorn(bytes, operation.position, operation.bytes, fate.reached);
        break;
    }
  }
  return { kind: "file", seen: bytes, durable: { ...bytes }, isShared: true, pending: [] };
}

/** The size may reach the medium before the bytes do: a file system may show zeros where a sector was not reached. */
function writeTorn(
  bytes: FileNode["seen"],
  position: number,
  chunk: Uint8Array,
  reached: (sector: number) => boolean,
): void {
  let from = position;
  const end = position + chunk.length;
  let lastReached = bytes.length;
  while (from < end) {
    const sector = Math.floor(from / sectorSize);
    const to = Math.min(end, (sector + 1) * sectorSize);
    if (reached(sector)) {
      writeBytes(bytes, from, chunk.subarray(from - position, to - position));
      lastReached = Math.max(lastReached, to);
    }
    from = to;
  }
  if (bytes.length < lastReached) resizeBytes(bytes, lastReached);
}
