/** Whether every package keeps to its layer. */
import { runCommand } from "./run-command.ts";

process.exitCode = await runCommand("turbo", ["boundaries"], { TURBO_TELEMETRY_DISABLED: "1" });
