import type { Bench } from "../bench.ts";
import { measuredApart } from "./apart.ts";

export const logRead: Bench = {
  name: "log-read",
  about: "sequential read of warm and cold segments, and lookups, against plain reads",
  run: () => measuredApart(new URL("./read-apart.ts", import.meta.url)),
};
