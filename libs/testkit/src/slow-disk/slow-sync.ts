/**
 * Loaded into a process before its program (`node --import`): each of its fdatasyncs takes longer by what the file of
 * TIDEMARK_TEST_SLOW_DISK says of its pid. So a test makes the disk of one real process slow, without rights.
 */
import fs, { readFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const control = process.env["TIDEMARK_TEST_SLOW_DISK"] ?? "";
const fdatasync = fs.fdatasync;

function delayMs(): number {
  const delays = JSON.parse(readFileSync(control, "utf8")) as Readonly<Record<string, number>>;
  return delays[String(process.pid)] ?? 0;
}

Reflect.set(fs, "fdatasync", (fd: number, done: fs.NoParamCallback) => {
  const delay = delayMs();
  if (delay === 0) fdatasync(fd, done);
  else setTimeout(() => fdatasync(fd, done), delay);
});
syncBuiltinESMExports();
