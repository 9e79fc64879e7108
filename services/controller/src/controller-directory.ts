/**
 * The directory of a controller: whose it is stands in `meta.properties`, and the store has a directory of its own
 * under it. A directory that belongs to another node or cluster is refused: metadata are never mixed.
 */
import { type Disk, DiskError, type DiskLock, makeDurableDirectory, readTextFile } from "@tidemark/disk";
import { type DirectoryId, directoryId } from "@tidemark/ids";
import { type Random, randomUuid } from "@tidemark/runtime";
import { StartRefusedError } from "@tidemark/service";

export interface ControllerDirectory {
  readonly directoryId: DirectoryId;
  /** The cluster that the directory belongs to. Undefined before it is known. */
  readonly clusterId: string | undefined;
  /** What kept the cluster's metadata when this controller last ran. Undefined before that is known. */
  readonly backend: string | undefined;
  /** Notes the cluster and its backend, durably. Does nothing where it is noted already. */
  belongTo(clusterId: string): Promise<void>;
  /** Lets another process have the directory. */
  release(): Promise<void>;
}

const fileName = "meta.properties";
const formatVersion = 1;

interface Meta {
  readonly nodeId: number;
  readonly directoryId: DirectoryId;
  readonly clusterId: string | undefined;
  /** What keeps the cluster's metadata. Undefined: not noted yet. */
  readonly backend: string | undefined;
}

/**
 * Takes the directory for this process and reads whose it is; one that was nobody's becomes this node's. Throws
 * StartRefusedError with the way out.
 */
export async function openControllerDirectory(options: {
  readonly disk: Disk;
  readonly random: Random;
  readonly path: string;
  readonly nodeId: number;
  /** Of the settings. Undefined: whichever it belongs to. */
  readonly clusterId: string | undefined;
  /** Name of the consensus backend. Undefined: any. */
  readonly backend: string | undefined;
  /** The id that the directory was formatted with. Undefined: it was not formatted. */
  readonly formattedAs?: DirectoryId | undefined;
}): Promise<ControllerDirectory> {
  const { disk, path, nodeId } = options;
  const lock = await takeLock(disk, path);
  try {
    let meta = await readMeta(disk, path);
    if (meta === undefined) {
      const id = options.formattedAs ?? directoryId(randomUuid(options.random));
      meta = { nodeId, directoryId: id, clusterId: undefined, backend: undefined };
      await writeMeta(disk, path, meta);
    }
    refuseOthers(meta, options);
    const { directoryId: id, clusterId } = meta;
    const { backend } = options;
    let noted = meta.backend === backend ? clusterId : undefined;
    return {
      directoryId: id,
      clusterId,
      backend: meta.backend,
      async belongTo(cluster) {
        if (noted === cluster) return;
        await writeMeta(disk, path, { nodeId, directoryId: id, clusterId: cluster, backend });
        noted = cluster;
      },
      release: () => lock.release(),
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function takeLock(disk: Disk, path: string): Promise<DiskLock> {
  try {
    await makeDurableDirectory(disk, path);
    return await disk.lock(path);
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    const why = error.code === "LOCKED" ? "another process has it" : error.message;
    throw new StartRefusedError(`The directory ${path} cannot be used: ${why}`, { cause: error });
  }
}

function refuseOthers(
  meta: Meta,
  own: {
    readonly nodeId: number;
    readonly clusterId: string | undefined;
    readonly path: string;
    readonly formattedAs?: DirectoryId | undefined;
  },
) {
  if (own.formattedAs !== undefined && own.formattedAs !== meta.directoryId) {
    throw new StartRefusedError(
      `The directory ${own.path} is known as ${meta.directoryId}, and the store in it was formatted as ${own.formattedAs}: it was mixed up with another one`,
    );
  }
  if (meta.nodeId !== own.nodeId) {
    throw new StartRefusedError(
      `The directory ${own.path} belongs to controller ${meta.nodeId}, and this is controller ${own.nodeId}: correct node.id or metadata.log.dir`,
    );
  }
  if (meta.clusterId !== undefined && own.clusterId !== undefined && meta.clusterId !== own.clusterId) {
    throw new StartRefusedError(
      `The directory ${own.path} belongs to the cluster ${meta.clusterId}, and cluster.id says ${own.clusterId}: correct one of them`,
    );
  }
}

async function readMeta(disk: Disk, path: string): Promise<Meta | undefined> {
  const text = await readTextFile(disk, `${path}/${fileName}`);
  if (text === undefined) return undefined;
  const lines = text.split("\n").filter((line) => line.includes("="));
  const values = new Map(lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
  const version = Number(values.get("version"));
  if (version > formatVersion) {
    throw new StartRefusedError(
      `${path}/${fileName} has the version ${version}, and this process knows ${formatVersion}`,
    );
  }
  const nodeId = Number(values.get("node.id"));
  const id = values.get("directory.id") ?? "";
  try {
    if (version !== formatVersion || !Number.isInteger(nodeId)) throw new RangeError(text);
    return {
      nodeId,
      directoryId: directoryId(id),
      clusterId: values.get("cluster.id"),
      backend: values.get("backend"),
    };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new StartRefusedError(`${path}/${fileName} cannot be read: restore it, or take another directory`);
  }
}

/** Written aside and renamed: at any moment the file is the old one or the new one, whole. */
async function writeMeta(disk: Disk, path: string, meta: Meta): Promise<void> {
  const lines = [`version=${formatVersion}`, `node.id=${meta.nodeId}`, `directory.id=${meta.directoryId}`];
  if (meta.clusterId !== undefined) lines.push(`cluster.id=${meta.clusterId}`);
  if (meta.backend !== undefined) lines.push(`backend=${meta.backend}`);
  const aside = `${path}/${fileName}.new`;
  await disk.remove(aside);
  const file = await disk.create(aside);
  try {
    await file.write(0, [new TextEncoder().encode(`${lines.join("\n")}\n`)]);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(aside, `${path}/${fileName}`);
  await disk.syncDirectory(path);
}
