/** Taking the metadata out of the store, for a backup or for their move: the part of the MetadataService that seals. */
import type { AppendOutcome, Consensus } from "@tidemark/consensus";
import { ExportError, exportStore, formatExport, type MetadataExport } from "@tidemark/consensus/transfer";
import type { MetadataService } from "@tidemark/proto/admin/v1/metadata";
import { Reason } from "@tidemark/proto/common/v1";
import { type ServiceImpl, TidemarkError } from "@tidemark/rpc";
import type { ControllerCore } from "../core.ts";
import { appendError, invalidArgument } from "../errors.ts";

type TransferMethods = "export" | "unseal";

/** Characters of one piece of the file: its bytes stay below what every stub takes. */
const partCharacters = 256 * 1024;

export function createTransferService(
  core: ControllerCore,
  consensus: Consensus,
): Pick<ServiceImpl<typeof MetadataService>, TransferMethods> {
  const rejectReadably = (error: unknown): never => {
    throw error instanceof ExportError ? new TidemarkError(refusalOf(error)) : core.readError(error);
  };
  const settled = (outcome: AppendOutcome) => {
    if (outcome.kind !== "committed") throw appendError(outcome, { isPartial: false, active: undefined });
  };
  /** Only who leads can seal. What was sealed before needs nobody: so a call that broke off can be made again. */
  const seal = async (signal: AbortSignal) => {
    await consensus.sync(signal).catch(rejectReadably);
    if (core.follower.image.cluster?.sealed === true) return;
    const { term } = core.role;
    if (term === undefined) throw core.role.error();
    settled(await consensus.seal(term.epoch));
  };
  return {
    async *export({ seal: isSealing }, { signal }) {
      if (isSealing) await seal(signal);
      const exported: MetadataExport = await exportStore(consensus, { sealAs: undefined, signal }).catch(
        rejectReadably,
      );
      const text = formatExport(exported);
      for (let at = 0; at < text.length; at += partCharacters) yield { part: text.slice(at, at + partCharacters) };
    },
    async unseal(_request, { signal }) {
      await consensus.sync(signal).catch(rejectReadably);
      const outcome = await consensus.unseal();
      if (outcome.kind === "refused" && outcome.reason === "INVALID_BATCH") throw invalidArgument(outcome.message);
      settled(outcome);
      return {};
    },
  };
}

function refusalOf({ message }: ExportError): { readonly reason: Reason; readonly message: string } {
  return { reason: Reason.UNAVAILABLE, message };
}
