/** The errors that only a gateway finds, each with the way out. */
import { Reason } from "@tidemark/proto/common/v1";
import { type Place, TidemarkError } from "@tidemark/rpc";

export function leaderNotAvailable({ topic, partition }: Place): TidemarkError {
  return new TidemarkError({
    reason: Reason.LEADER_NOT_AVAILABLE,
    message: `Partition ${topic}-${partition} has no leader that can be reached now. An election needs an eligible replica.`,
    topic,
    partition,
  });
}

/** Nobody is elected: replicas hold more than the metadata know of. */
export function metadataRegressed({ topic, partition }: Place): TidemarkError {
  return new TidemarkError({
    reason: Reason.METADATA_REGRESSED,
    message: `The metadata of ${topic}-${partition} are older than what its replicas hold: nothing is served until \`tidemark partition elect --election-type unclean --topic ${topic} --partition ${partition}\` decides whose records stay`,
    topic,
    partition,
  });
}

/** A leader answered well and said nothing of the partition it was asked for: a defect on its side. */
export function missingAnswer({ topic, partition }: Place, endpoint: string): TidemarkError {
  return new TidemarkError({
    reason: Reason.INTERNAL,
    message: `The broker at ${endpoint} said nothing of ${topic}-${partition}.`,
    topic,
    partition,
  });
}
