import { describeTopics, type MetadataImage } from "@tidemark/metadata";
import { AdminService } from "@tidemark/proto/admin/v1";
import { type ServedService, serve, TidemarkError } from "@tidemark/rpc";
import { createDeleteRecords, type DeleteRecordsOptions } from "./delete-records.ts";

/**
 * What a broker answers of AdminService: DeleteRecords for the partitions that it leads, and what it knows of topics, so
 * that a client which knows a broker alone finds the others. Everything else is for the controller.
 */
export function createAdminService(
  options: DeleteRecordsOptions & {
    /** The metadata as this broker has them. */
    readonly image: () => MetadataImage;
  },
): ServedService {
  return serve(AdminService, {
    deleteRecords: createDeleteRecords(options),
    describeTopics({ topics }) {
      const described = describeTopics(options.image(), topics);
      if (described.kind === "refused") throw new TidemarkError(described.refusal);
      return described.answer;
    },
  });
}
