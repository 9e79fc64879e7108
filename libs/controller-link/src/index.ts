export {
  type ActiveController,
  type ActiveControllerOptions,
  backoffMs,
  type CallUntil,
  createActiveController,
} from "./active-controller.ts";
export {
  createMetadataFeed,
  type MetadataFeed,
  type MetadataFeedOptions,
  type MetadataUpdate,
  type MetadataVersion,
  reaches,
} from "./metadata-feed.ts";
