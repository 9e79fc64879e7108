export type { Jaeger } from "./jaeger.ts";
export { testWithJaeger } from "./test-with-jaeger.ts";
