import type { Bench } from "./bench.ts";
import { brokerThroughput } from "./broker/throughput.ts";
import { encodingBench } from "./rpc/encoding.ts";

/** Everything that can be measured. */
export const benches: readonly Bench[] = [brokerThroughput, encodingBench];
