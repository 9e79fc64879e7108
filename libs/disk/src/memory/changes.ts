import { DiskError } from "../disk.ts";
import { resizeBytes, writeBytes } from "./bytes.ts";
import {
  applyToDirectory,
  type DirectoryNode,
  type DirectoryOperation,
  type FileNode,
  type FileOperation,
  namesOf,
  newDirectory,
  newFile,
  nodeAt,
  parentOf,
  separate,
  share,
  type TreeNode,
} from "./tree.ts";

/** Everything that changes a tree, as a value: what a trace of a run consists of. */
export type Change =
  | { readonly kind: "create"; readonly path: string }
  | { readonly kind: "makeDirectory"; readonly path: string }
  | { readonly kind: "rename"; readonly from: string; readonly to: string }
  | { readonly kind: "remove"; readonly path: string }
  | { readonly kind: "syncDirectory"; readonly path: string }
  | { readonly kind: "write"; readonly path: string; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: "truncate"; readonly path: string; readonly size: number }
  | { readonly kind: "sync"; readonly path: string };

/** Makes a change by path. For files that are open, see `changeFile`. */
export function applyChange(root: DirectoryNode, change: Change): void {
  switch (change.kind) {
    case "create":
      createFile(root, change.path);
      return;
    case "makeDirectory":
      makeDirectories(root, change.path);
      return;
    case "rename":
      rename(root, change.from, change.to);
      return;
    case "remove":
      remove(root, change.path);
      return;
    case "syncDirectory":
      syncDirectory(directoryAt(root, change.path, "syncDirectory"));
      return;
    case "write":
      changeFile(fileAt(root, change.path, "write"), {
        kind: "write",
        position: change.position,
        bytes: change.bytes,
        lost: false,
      });
      return;
    case "truncate":
      changeFile(fileAt(root, change.path, "truncate"), { kind: "truncate", size: change.size, lost: false });
      return;
    case "sync":
      syncFile(fileAt(root, change.path, "sync"));
      return;
  }
}

export function fileAt(root: DirectoryNode, path: string, operation: string): FileNode {
  const node = nodeAt(root, path);
  if (node?.kind !== "file") throw new DiskError("NOT_FOUND", operation, path);
  return node;
}

export function directoryAt(root: DirectoryNode, path: string, operation: string): DirectoryNode {
  const node = nodeAt(root, path);
  if (node?.kind !== "directory") throw new DiskError("NOT_FOUND", operation, path);
  return node;
}

export function createFile(root: DirectoryNode, path: string): FileNode {
  const parent = parentOf(root, path, "create");
  if (parent.in.seen.has(parent.name)) throw new DiskError("EXISTS", "create", path);
  const node = newFile();
  changeDirectory(parent.in, { kind: "link", name: parent.name, node });
  return node;
}

/** Shows the operation to processes; it waits for a sync to be durable. */
export function changeFile(file: FileNode, operation: FileOperation): void {
  const from = operation.kind === "write" ? operation.position : operation.size;
  if (from < file.durable.length) separate(file);
  applyToBytes(file.seen, operation);
  file.pending.push(operation);
}

/** Makes the pending operations up to `last` durable, except those that a failed sync has lost. */
export function syncFile(file: FileNode, last = file.pending.at(-1)): void {
  const count = last === undefined ? 0 : file.pending.indexOf(last) + 1;
  if (count === 0) return;
  if (count === file.pending.length && !file.pending.some((operation) => operation.lost)) {
    share(file);
    file.pending = [];
    return;
  }
  separate(file);
  for (const operation of file.pending.slice(0, count)) if (!operation.lost) applyToBytes(file.durable, operation);
  file.pending = [...file.pending.slice(0, count).filter((operation) => operation.lost), ...file.pending.slice(count)];
}

/**
 * A sync that failed. As in Linux, what should have been written counts as clean afterwards: it is still seen, and no
 * later sync writes it.
 */
export function failSync(file: FileNode): void {
  for (const operation of file.pending) operation.lost = true;
}

export function syncDirectory(directory: DirectoryNode): void {
  for (const operation of directory.pending) applyToDirectory(directory.durable, operation);
  directory.pending = [];
}

export function applyToBytes(bytes: FileNode["seen"], operation: FileOperation): void {
  switch (operation.kind) {
    case "write":
      writeBytes(bytes, operation.position, operation.bytes);
      return;
    case "truncate":
      resizeBytes(bytes, operation.size);
      return;
  }
}

function changeDirectory(directory: DirectoryNode, operation: DirectoryOperation): void {
  applyToDirectory(directory.seen, operation);
  directory.pending.push(operation);
}

function makeDirectories(root: DirectoryNode, path: string): void {
  let directory = root;
  const names = namesOf(path);
  for (const [depth, name] of names.entries()) {
    let next = directory.seen.get(name);
    if (next === undefined) {
      next = newDirectory();
      changeDirectory(directory, { kind: "link", name, node: next });
    }
    if (next.kind !== "directory") {
      throw new DiskError(depth === names.length - 1 ? "EXISTS" : "NOT_FOUND", "makeDirectory", path);
    }
    directory = next;
  }
}

function rename(root: DirectoryNode, from: string, to: string): void {
  const source = parentOf(root, from, "rename");
  const target = parentOf(root, to, "rename");
  const node = source.in.seen.get(source.name);
  if (node === undefined) throw new DiskError("NOT_FOUND", "rename", from);
  if (source.in === target.in && source.name === target.name) return;
  const replaced = target.in.seen.get(target.name);
  if (replaced !== undefined && !canReplace(node, replaced)) throw new DiskError("EXISTS", "rename", from);
  if (source.in === target.in) {
    changeDirectory(source.in, { kind: "rename", from: source.name, to: target.name, node });
    return;
  }
  changeDirectory(target.in, { kind: "link", name: target.name, node });
  changeDirectory(source.in, { kind: "unlink", name: source.name });
}

/** As POSIX has it: a file takes the place of a file, a directory that of an empty directory. */
function canReplace(node: TreeNode, replaced: TreeNode): boolean {
  if (replaced.kind === "file") return node.kind === "file";
  return node.kind === "directory" && replaced.seen.size === 0;
}

function remove(root: DirectoryNode, path: string): void {
  if (nodeAt(root, path) === undefined) return;
  const parent = parentOf(root, path, "remove");
  changeDirectory(parent.in, { kind: "unlink", name: parent.name });
}
