import { DiskError, type DiskLock } from "../disk.ts";
import { createFile, directoryAt, syncDirectory } from "./changes.ts";
import { type DirectoryNode, type FileNode, nodeAt, separate, share, type TreeNode } from "./tree.ts";

/** Bytes of all files below `node`, as processes see them. */
export function usedBytes(node: TreeNode): number {
  if (node.kind === "file") return node.seen.length;
  let sum = 0;
  for (const child of node.seen.values()) sum += usedBytes(child);
  return sum;
}

/** Puts what is seen back to what is durable, below `node`, for handles that stay open. */
export function dropUnflushed(node: TreeNode, seen: Set<TreeNode>): void {
  if (seen.has(node)) return;
  seen.add(node);
  node.pending = [];
  if (node.kind === "file") {
    node.seen.data = node.durable.data.slice(0, node.durable.length);
    node.seen.length = node.durable.length;
    share(node);
    return;
  }
  for (const child of [...node.seen.values(), ...node.durable.values()]) dropUnflushed(child, seen);
  node.seen.clear();
  for (const [name, child] of node.durable) node.seen.set(name, child);
}

export function takeLock(root: DirectoryNode, locks: Set<string>, directory: string): DiskLock {
  directoryAt(root, directory, "lock");
  if (locks.has(directory)) throw new DiskError("LOCKED", "lock", directory);
  locks.add(directory);
  return {
    release: async () => {
      locks.delete(directory);
    },
  };
}

/** Flips a bit at rest. One behind the end does nothing. */
export function flipBit(node: FileNode, { byte, bit }: { readonly byte: number; readonly bit: number }): void {
  separate(node);
  for (const bytes of [node.seen, node.durable]) {
    if (byte < bytes.length) bytes.data[byte] = (bytes.data[byte] ?? 0) ^ (1 << bit);
  }
}

/** Replaces a file's content at rest, or makes the file. */
export function putFile(root: DirectoryNode, path: string, bytes: Uint8Array): void {
  const node = nodeAt(root, path) ?? createFile(root, path);
  if (node.kind !== "file") throw new DiskError("EXISTS", "put", path);
  node.pending = [];
  node.seen.data = bytes.slice();
  node.seen.length = bytes.length;
  share(node);
  syncDirectory(directoryAt(root, path.slice(0, path.lastIndexOf("/")), "put"));
}
