/** Which log directory holds a replica, and which one takes a new one (L10). */
import type { DirectoryId } from "@tidemark/ids";
import type { LogSettings } from "@tidemark/log";
import {
  type Damage,
  type Log,
  type LogDirectory,
  type LogListener,
  type ProducerState,
  type ReplicaId,
  replicaName,
} from "@tidemark/log";

export interface LogHomes {
  readonly directories: readonly LogDirectory[];
  /** Opens a replica, and makes an empty one where the metadata let it be made here. */
  openOrCreate(replica: ReplicaId, how: OpenReplica & { readonly recorded: DirectoryId | undefined }): Promise<Opened>;
}

export interface OpenReplica {
  readonly settings: LogSettings;
  readonly onEvent: LogListener;
  /** Follows the idempotent producers of the log. */
  readonly producers: ProducerState;
}

export type Opened =
  | { readonly kind: "ready"; readonly log: Log; readonly home: LogDirectory }
  | { readonly kind: "damaged"; readonly log: Log; readonly damage: Damage; readonly home: LogDirectory }
  | { readonly kind: "misplaced"; readonly directoryId: DirectoryId };

export function createLogHomes(directories: readonly LogDirectory[]): LogHomes {
  /** The recorded directory alone: one that was given up and is back may list the replica too. */
  const homeOf = (replica: ReplicaId, recorded: DirectoryId | undefined) => {
    const name = replicaName(replica);
    const lists = (directory: LogDirectory) => directory.replicas().some((each) => replicaName(each) === name);
    return directories.find((each) => (recorded ?? each.id) === each.id && lists(each));
  };

  /** The directory in which its data was set aside: what the metadata know again is not made empty (D7). */
  const keeperOf = (replica: ReplicaId) => {
    const name = replicaName(replica);
    return directories.find((directory) => directory.aside().some((each) => replicaName(each) === name));
  };

  const openIn = async (home: LogDirectory, replica: ReplicaId, how: OpenReplica): Promise<Opened> => {
    const log = await home.open(replica, how);
    const { status } = log;
    if (status.kind === "offline") return { kind: "damaged", log, damage: status.damage, home };
    return { kind: "ready", log, home };
  };

  return {
    directories,
    async openOrCreate(replica, { recorded, ...how }) {
      // Another directory may hold what counts: what lies here is no proof of anything.
      if (recorded !== undefined && !directories.some(({ id }) => id === recorded))
        return { kind: "misplaced", directoryId: recorded };
      const home = homeOf(replica, recorded);
      if (home !== undefined) return openIn(home, replica, how);
      const keeper = keeperOf(replica);
      if (keeper !== undefined && (recorded === undefined || keeper.id === recorded)) {
        await keeper.takeBack(replica);
        return openIn(keeper, replica, how);
      }
      const target = recorded === undefined ? roomiest(directories) : directories.find(({ id }) => id === recorded);
      if (target === undefined) throw new Error("No log directory is in service");
      await target.create(replica);
      return openIn(target, replica, how);
    },
  };
}

/** New replicas go where the fewest are. */
function roomiest(directories: readonly LogDirectory[]): LogDirectory | undefined {
  let best: LogDirectory | undefined;
  for (const directory of directories) {
    if (directory.failure !== undefined) continue;
    if (best === undefined || directory.replicas().length < best.replicas().length) best = directory;
  }
  return best;
}
