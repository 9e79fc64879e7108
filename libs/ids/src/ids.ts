/**
 * The numbers and names that must not be mixed. Epochs always carry their kind.
 *
 * Offsets and revisions are 64-bit and therefore bigint; epochs and ids are 32-bit and therefore number, since no
 * epoch grows faster than once per election.
 */
import { type Branded, branded } from "./branded.ts";

const int32Max = 2 ** 31 - 1;
const isInt32 = (value: number) => Number.isInteger(value) && value >= 0 && value <= int32Max;
const isUuid = (value: string) => /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(value);

/** Position in a partition's log. The first record has offset 0. */
export type Offset = Branded<bigint, "Offset">;
export const offset: (value: bigint) => Offset = branded("Offset", (value) => value >= 0n);

/** Counts the leaders of one partition; +1 at each election. */
export type LeaderEpoch = Branded<number, "LeaderEpoch">;
export const leaderEpoch: (value: number) => LeaderEpoch = branded("LeaderEpoch", isInt32);
/** Of a log without any batch, and of a batch that no leader has stamped yet: Kafka writes it as -1. */
export const noLeaderEpoch: LeaderEpoch = -1 as LeaderEpoch;

/** Counts the committed changes of one partition's state. */
export type PartitionEpoch = Branded<number, "PartitionEpoch">;
export const partitionEpoch: (value: number) => PartitionEpoch = branded("PartitionEpoch", isInt32);

/** Counts the registrations of one broker. */
export type BrokerEpoch = Branded<number, "BrokerEpoch">;
export const brokerEpoch: (value: number) => BrokerEpoch = branded("BrokerEpoch", isInt32);

/** Counts the elections of an active controller. */
export type ControllerEpoch = Branded<number, "ControllerEpoch">;
export const controllerEpoch: (value: number) => ControllerEpoch = branded("ControllerEpoch", isInt32);

export type BrokerId = Branded<number, "BrokerId">;
export const brokerId: (value: number) => BrokerId = branded("BrokerId", isInt32);

export type ControllerId = Branded<number, "ControllerId">;
export const controllerId: (value: number) => ControllerId = branded("ControllerId", isInt32);

/** Index of a partition within its topic, from 0. */
export type PartitionIndex = Branded<number, "PartitionIndex">;
export const partitionIndex: (value: number) => PartitionIndex = branded("PartitionIndex", isInt32);

/** Made once for each topic, a UUID in lower case: a topic of the same name made again has another one. */
export type TopicId = Branded<string, "TopicId">;
export const topicId: (value: string) => TopicId = branded("TopicId", isUuid);

/** Made once for each log directory (or controller disk), a UUID in lower case. */
export type DirectoryId = Branded<string, "DirectoryId">;
export const directoryId: (value: string) => DirectoryId = branded("DirectoryId", isUuid);

/** Counts committed batches of metadata changes. Only grows; may leave numbers out. */
export type Revision = Branded<bigint, "Revision">;
export const revision: (value: bigint) => Revision = branded("Revision", (value) => value >= 0n);
