import { DiskError } from "../disk.ts";
import { type Bytes, emptyBytes } from "./bytes.ts";

/**
 * A file system in which what a process sees and what a power cut leaves are kept apart. Pure: no waiting, no faults.
 *
 * Every node has its content as a process sees it, its content as the medium has it, and the operations between the
 * two, in order. A sync moves the operations into the medium's content; a power cut lets each of them happen or not.
 */
export interface FileNode {
  readonly kind: "file";
  readonly seen: Bytes;
  /** Where it is shared, memory that a process sees too, up to this length: it is copied before anything in there changes. */
  readonly durable: Bytes;
  isShared: boolean;
  pending: FileOperation[];
}

export interface DirectoryNode {
  readonly kind: "directory";
  readonly seen: Map<string, TreeNode>;
  readonly durable: Map<string, TreeNode>;
  pending: DirectoryOperation[];
}

export type TreeNode = FileNode | DirectoryNode;

export type FileOperation =
  | { readonly kind: "write"; readonly position: number; readonly bytes: Uint8Array; lost: boolean }
  | { readonly kind: "truncate"; readonly size: number; lost: boolean };

/** A rename within a directory is one operation: it happens or it does not. */
export type DirectoryOperation =
  | { readonly kind: "link"; readonly name: string; readonly node: TreeNode }
  | { readonly kind: "unlink"; readonly name: string }
  | { readonly kind: "rename"; readonly from: string; readonly to: string; readonly node: TreeNode };

export function newDirectory(): DirectoryNode {
  return { kind: "directory", seen: new Map(), durable: new Map(), pending: [] };
}

export function newFile(): FileNode {
  return { kind: "file", seen: emptyBytes(), durable: emptyBytes(), isShared: false, pending: [] };
}

/** Makes durable what is seen, without a copy: most files only grow. */
export function share(file: FileNode): void {
  file.durable.data = file.seen.data;
  file.durable.length = file.seen.length;
  file.isShared = true;
}

/** Gives what is durable memory of its own. */
export function separate(file: FileNode): void {
  if (!file.isShared) return;
  file.durable.data = file.durable.data.slice(0, file.durable.length);
  file.isShared = false;
}

/** The directory above `path` and the last name in it. Fails with NOT_FOUND where the directory is missing. */
export function parentOf(root: DirectoryNode, path: string, operation: string): { in: DirectoryNode; name: string } {
  const names = namesOf(path);
  const name = names.pop();
  if (name === undefined) throw new DiskError("DENIED", operation, path);
  let directory = root;
  for (const step of names) {
    const next = directory.seen.get(step);
    if (next?.kind !== "directory") throw new DiskError("NOT_FOUND", operation, path);
    directory = next;
  }
  return { in: directory, name };
}

/** The node at `path`, if there is one. */
export function nodeAt(root: DirectoryNode, path: string): TreeNode | undefined {
  let node: TreeNode | undefined = root;
  for (const step of namesOf(path)) {
    if (node?.kind !== "directory") return undefined;
    node = node.seen.get(step);
  }
  return node;
}

export function namesOf(path: string): string[] {
  if (!path.startsWith("/")) throw new RangeError(`Not an absolute path: ${path}`);
  return path.split("/").filter((name) => name !== "");
}

export function applyToDirectory(entries: Map<string, TreeNode>, operation: DirectoryOperation): void {
  switch (operation.kind) {
    case "link":
      entries.set(operation.name, operation.node);
      return;
    case "unlink":
      entries.delete(operation.name);
      return;
    case "rename":
      entries.delete(operation.from);
      entries.set(operation.to, operation.node);
      return;
  }
}
