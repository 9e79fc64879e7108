export { type Bench, type Figure, figure, secondsOf } from "./bench.ts";
export { benches } from "./benches.ts";
