import { Presets, SingleBar } from "cli-progress";
import type { Io } from "../io.ts";
import type { Tally } from "./tally.ts";

/** What a person sees while it goes on; nothing where standard error is no terminal. */
export interface Progress {
  /** `bytes`: read so far. */
  show(bytes: number): void;
  stop(): void;
}

/**
 * Shows the counts of `tally` as they are whenever it draws, also when all is read and what was sent is waited for.
 * `totalBytes`: undefined where the input's length is not known.
 */
export function createProgress(io: Pick<Io, "stderr">, totalBytes: number | undefined, tally: Tally): Progress {
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
  let bytes = 0;
  // The bar draws itself anew from time to time, by what it was given here.
  const drawn = {
    get mebibytes() {
      return (bytes / 2 ** 20).toFixed(1);
    },
    get acknowledged() {
      return tally.acknowledged;
    },
    get unknown() {
      return tally.unknown;
    },
    get failed() {
      return tally.failed;
    },
  };
  bar.start(totalBytes ?? 1, 0, drawn);
  return {
    show(read) {
      bytes = read;
      bar.update(totalBytes === undefined ? 0 : Math.min(bytes, totalBytes));
    },
    stop: () => bar.stop(),
  };
}
