import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder that the repository was checked out into. */
export const root: string = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");
