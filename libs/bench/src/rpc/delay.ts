import { measureStream } from "@tidemark/rpc/measure";
import { createNodeRuntime } from "@tidemark/runtime";
import { createTcpProxy } from "@tidemark/testkit/tcp-proxy";
import { type Bench, figure } from "../bench.ts";

const runs = 3;
const delayMs = 10;
const batchBytes = 64 * 1024;
/** What HTTP/2 gives a stream where nobody asks for more. */
const plainWindow = 64 * 1024;

/** What the receive windows are raised for: a link on which each byte takes its time. */
export const delayBench: Bench = {
  name: "rpc-delay",
  about: `a produce stream of 64 KiB batches over a link of ${delayMs} ms each way: raised receive windows, beside windows of 64 KiB.`,
  async run(say) {
    const runtime = createNodeRuntime();
    const measure = async (messages: number, window: number | undefined, delay: number) => {
      const proxies: { close(): Promise<void> }[] = [];
      try {
        const { bytes, durationMs } = await measureStream({
          runtime,
          batchBytes,
          messages,
          ...(window !== undefined && { receiveWindowBytes: { stream: window, connection: window } }),
          through: async (port) => {
            const proxy = await createTcpProxy({ target: { port }, delayMs: delay });
            proxies.push(proxy);
            return proxy.port;
          },
        });
        return bytes / 1e3 / durationMs;
      } finally {
        for (const proxy of proxies) await proxy.close();
      }
    };
    const raised: number[] = [];
    const plain: number[] = [];
    const near: number[] = [];
    for (let run = 1; run <= runs; run++) {
      say(`run ${run} of ${runs}`);
      near.push(await measure(2000, undefined, 0));
      raised.push(await measure(2000, undefined, delayMs));
      plain.push(await measure(100, plainWindow, delayMs));
    }
    return [
      figure("no delay", "MB/s", near),
      figure(`${delayMs} ms each way`, "MB/s", raised, { to: "no delay", values: near }),
      figure(`${delayMs} ms each way, windows of 64 KiB`, "MB/s", plain, { to: "raised windows", values: raised }),
    ];
  },
};
