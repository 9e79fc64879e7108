import { test } from "vitest";
import { isAbsent } from "../outside.ts";
import { type Jaeger, startJaeger } from "./jaeger.ts";
import { getJaegerBinary } from "./jaeger-binary.ts";

/**
 * A test that needs a real Jaeger, which it is given and which is gone when it ends. Where none can be had it is counted
 * as absent, by its name, and fails if TIDEMARK_REQUIRE names jaeger.
 */
export function testWithJaeger(name: string, body: (jaeger: Jaeger) => Promise<void>, timeoutMs = 3_600_000): void {
  test(
    `${name} [jaeger]`,
    async (context) => {
      const binary = getJaegerBinary();
      if (binary.kind === "absent") return isAbsent(context, "jaeger", binary.why);
      const jaeger = await startJaeger(binary.path);
      try {
        await body(jaeger);
      } finally {
        await jaeger.close();
      }
    },
    timeoutMs,
  );
}
