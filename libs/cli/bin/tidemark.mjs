#!/usr/bin/env node
// Plain JavaScript for any Node from 20 on. The program itself is TypeScript, which the project's own Node runs as it is.
import { isProjectNode, runProgramUnderProjectNode } from "@tidemark/tooling/ensure";

if (isProjectNode()) await import("../src/main.ts");
else runProgramUnderProjectNode("libs/cli/src/main.ts", process.argv.slice(2));
