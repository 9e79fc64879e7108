import { resolve } from "node:path";
import { crc32c, loadCodecs } from "@tidemark/compression";
import { createNodeDisk, DiskError } from "@tidemark/disk";
import { type BatchDump, type DumpOptions, dumpLog, type LogDump, logsAt } from "@tidemark/log";
import { createNodeRuntime } from "@tidemark/runtime";
import type { DumpFlags } from "../commands/log.ts";
import { tellError } from "../errors.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { writeFully } from "../output.ts";
import { batchAsJson, logAsJson } from "./show-json.ts";
import { batchAsText, logAsText } from "./show-text.ts";

/** How batches and logs are shown. */
interface Shown {
  readonly batch: (batch: BatchDump, deep: boolean) => string;
  readonly log: (dump: LogDump) => string;
}

const forms: Readonly<Record<DumpFlags["output"], Shown>> = {
  text: { batch: batchAsText, log: logAsText },
  json: { batch: batchAsJson, log: logAsJson },
};

/** Shows every log at `path`: its batches if they are wanted, then what is to be said of it as a whole. */
export async function dumpLogs(io: Io, path: string, flags: DumpFlags): Promise<number> {
  const { codecs } = await loadCodecs();
  const options = { disk: createNodeDisk({ runtime: createNodeRuntime() }), crc32c, codecs };
  const failed = (error: unknown): number => {
    if (io.interrupted.aborted) return exitCodes.interrupted;
    tellError(io, error instanceof DiskError ? new Error(explained(error)) : error, { output: flags.output });
    return exitCodes.failed;
  };
  let code: number = exitCodes.done;
  try {
    for (const log of await logsAt(options, resolve(io.workingDirectory, path))) {
      const ended = await dumpOne(io, { options, log, flags }).catch(failed);
      if (ended === exitCodes.interrupted) return ended;
      if (ended !== exitCodes.done) code = ended;
    }
    return code;
  } catch (error) {
    return failed(error);
  }
}

async function dumpOne(
  io: Io,
  { options, log, flags }: { readonly options: DumpOptions; readonly log: string; readonly flags: DumpFlags },
): Promise<number> {
  const form = forms[flags.output];
  const { deep } = flags;
  let lines = "";
  const writeOut = async () => {
    io.interrupted.throwIfAborted();
    const bytes = Buffer.from(lines);
    lines = "";
    if (bytes.length > 0) await writeFully(io, bytes);
  };
  const dump = await dumpLog(
    {
      ...options,
      deep,
      ...(flags.batches || deep
        ? {
            onBatch: (batch: BatchDump) => {
              lines += form.batch(batch, deep);
            },
          }
        : {}),
      onPiece: writeOut,
    },
    log,
  );
  lines += form.log(dump);
  await writeOut();
  return flags.verify && dump.problems.length > 0 ? exitCodes.failed : exitCodes.done;
}

function explained({ code, operation, path }: DiskError): string {
  return code === "NOT_FOUND" ? `There is no log at ${path}` : `Cannot ${operation} ${path}: ${code}`;
}
