import { measureEncoding } from "@tidemark/rpc/measure";
import { createNodeRuntime } from "@tidemark/runtime";
import { type Bench, type Figure, figure } from "../bench.ts";

const runs = 5;
const bytesPerRun = 256 * 2 ** 20;

/** The lean codec of hot messages beside plain protobuf-es. */
export const encodingBench: Bench = {
  name: "rpc-encoding",
  about: "a fetch's answer into the bytes of a frame: the lean codec, beside plain protobuf-es.",
  async run() {
    const { clock } = createNodeRuntime();
    const figures: Figure[] = [];
    for (const batchBytes of [16, 64, 256].map((kibibytes) => kibibytes * 1024)) {
      const rounds = bytesPerRun / batchBytes;
      const measured = Array.from({ length: runs }, () => measureEncoding({ clock, batchBytes, rounds }));
      const speed = (ms: number) => bytesPerRun / 1e3 / ms;
      figures.push(
        figure(
          `${batchBytes / 1024} KiB`,
          "MB/s",
          measured.map(({ leanMs }) => speed(leanMs)),
          { to: "protobuf-es", values: measured.map(({ protobufMs }) => speed(protobufMs)) },
        ),
      );
    }
    return figures;
  },
};
