import { Presets, SingleBar } from "cli-progress";
import type { Io } from "../io.ts";
import type { Tally } from "./tally.ts";

/** What a person sees while it goes on; nothing where standard error is no terminal. */
export interface Progress {
  /** `bytes`: read so far. */
  show(bytes: number, tally: Tally): void;
  stop(): void;
}

/** `totalBytes`: undefined where the input's length is not known. */
export function createProgress(io: Io, totalBytes: number | undefined): Progress {
  if (io.stderr.isTTY !== true) return { show: () => undefined, stop: () => undefined };
  const counts = "{mebibytes} MiB, acknowledged {acknowledged}, unknown {unknown}, failed {failed}";
  const bar = new SingleBar(
    {
      stream: io.stderr,
      format: totalBytes === undefined ? counts : `{bar} {percentage} %  ${counts}`,
      clearOnComplete: true,
      hideCursor: true,
    },
    Presets.legacy,
  );
  const payload = (
    bytes: number,
    { acknowledged, unknown, failed }: Pick<Tally, "acknowledged" | "unknown" | "failed">,
  ) => ({
    mebibytes: (bytes / 2 ** 20).toFixed(1),
    acknowledged,
    unknown,
    failed,
  });
  bar.start(totalBytes ?? 1, 0, payload(0, { acknowledged: 0, unknown: 0, failed: 0 }));
  return {
    show: (bytes, tally) =>
      bar.update(totalBytes === undefined ? 0 : Math.min(bytes, totalBytes), payload(bytes, tally)),
    stop: () => bar.stop(),
  };
}
