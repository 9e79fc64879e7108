/** `meta.properties`: whose directory this is (L2). Written once, when the directory is first used. */
import { type DirectoryId, directoryId } from "@tidemark/ids";
import { DirectoryError } from "./directory-error.ts";
import { encodeProperties, parseProperties } from "./properties.ts";

export const metaFileName = "meta.properties";
const formatVersion = 1;

/** Who may use a directory. */
export interface DirectoryOwner {
  readonly clusterId: string;
  readonly nodeId: number;
}

export interface MetaProperties extends DirectoryOwner {
  /** Made once for each directory; it tells a disk that is back from one that was replaced. */
  readonly directoryId: DirectoryId;
}

export function encodeMeta(meta: MetaProperties): Uint8Array {
  return encodeProperties({
    version: String(formatVersion),
    "cluster.id": meta.clusterId,
    "node.id": String(meta.nodeId),
    "directory.id": meta.directoryId,
  });
}

/** Throws a DirectoryError for another owner's directory, a newer format, and a file that is not whole. */
export function checkMeta(bytes: Uint8Array, owner: DirectoryOwner, path: string): MetaProperties {
  const properties = parseProperties(bytes);
  const version = Number(properties?.get("version"));
  if (version > formatVersion) {
    throw new DirectoryError("NEWER_FORMAT", path, `has format ${version}; this version knows up to ${formatVersion}`);
  }
  const clusterId = properties?.get("cluster.id");
  const nodeId = properties?.get("node.id");
  const id = parseDirectoryId(properties?.get("directory.id"));
  if (version !== formatVersion || clusterId === undefined || nodeId === undefined || id === undefined) {
    throw new DirectoryError("UNAVAILABLE", path, `${metaFileName} is not whole; put it back or remove the directory`);
  }
  if (clusterId !== owner.clusterId) {
    throw new DirectoryError("OTHER_CLUSTER", path, `belongs to cluster ${clusterId}, not to ${owner.clusterId}`);
  }
  if (nodeId !== String(owner.nodeId)) {
    throw new DirectoryError("OTHER_NODE", path, `belongs to node ${nodeId}, not to ${owner.nodeId}`);
  }
  return { ...owner, directoryId: id };
}

function parseDirectoryId(text: string | undefined): DirectoryId | undefined {
  try {
    return text === undefined ? undefined : directoryId(text);
  } catch {
    return undefined;
  }
}
