export { type Jaeger, startJaeger } from "./jaeger.ts";
export { getJaegerBinary, type JaegerBinary } from "./jaeger-binary.ts";
