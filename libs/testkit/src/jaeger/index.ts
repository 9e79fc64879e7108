export type { Jaeger } from "./jaeger.ts";
export { getJaegerBinary } from "./jaeger-binary.ts";
export { testWithJaeger } from "./test-with-jaeger.ts";
