import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import tseslint from "typescript-eslint";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

/** What is not deterministic, and what takes its place. */
const bannedGlobals = [
  ["setTimeout", "Take a Scheduler from @tidemark/runtime by the constructor."],
  ["setInterval", "Take a Scheduler from @tidemark/runtime by the constructor."],
  ["setImmediate", "Take a Scheduler from @tidemark/runtime by the constructor."],
  ["queueMicrotask", "Take a Scheduler from @tidemark/runtime by the constructor."],
  ["performance", "Take a Clock from @tidemark/runtime by the constructor."],
  ["fetch", "Take a channel from @tidemark/rpc by the constructor."],
].map(([name, message]) => ({ name, message }));

const bannedProperties = [
  ["Date", "now", "Take a Clock from @tidemark/runtime by the constructor."],
  ["Math", "random", "Take a Random from @tidemark/runtime by the constructor."],
  ["process", "env", "Read settings through @tidemark/config."],
  ["process", "hrtime", "Take a Clock from @tidemark/runtime by the constructor."],
  ["crypto", "randomUUID", "Take a Random from @tidemark/runtime by the constructor."],
].map(([object, property, message]) => ({ object, property, message }));

const bannedSyntax = [
  {
    selector: "NewExpression[callee.name='Date'][arguments.length=0]",
    message: "Take a Clock from @tidemark/runtime by the constructor.",
  },
  { selector: "ExportDefaultDeclaration", message: "Name what you export." },
];

const bannedImports = [
  ["node:fs", "Take a Disk from @tidemark/disk by the constructor."],
  ["node:fs/promises", "Take a Disk from @tidemark/disk by the constructor."],
  ["node:timers", "Take a Scheduler from @tidemark/runtime by the constructor."],
  ["node:timers/promises", "Take a Scheduler from @tidemark/runtime by the constructor."],
].map(([name, message]) => ({ name, message }));

/** Where the outside world is let in: adapters, programs, and what drives programs. */
const adapters = [
  "libs/runtime/src/node/**",
  "libs/disk/src/node/**",
  "libs/config/src/node/**",
  "libs/tooling/**",
  "libs/testkit/**",
  "libs/bench/**",
  "deploy/**",
  "libs/cli/src/**",
  "libs/sim/src/node/**",
  "**/integration/**",
  "**/interop/**",
  "**/*.config.ts",
];

export default tseslint.config(
  {
    ignores: [
      "**/node_modules/**",
      "proto/gen/**",
      "**/dist/**",
      "**/test-results/**",
      "**/.tidemark/**",
      "**/.interop/**",
    ],
  },
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: root } },
    rules: {
      "@typescript-eslint/no-floating-promises": ["error", { ignoreVoid: false }],
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-non-null-assertion": "error",
      "@typescript-eslint/restrict-template-expressions": [
        "error",
        { allowNumber: true, allowBoolean: true, allow: [{ name: ["bigint"], from: "lib" }] },
      ],
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-confusing-void-expression": "off",
      // A union of one member today grows tomorrow, and a check at an edge that cannot fail today is still a check.
      "@typescript-eslint/no-unnecessary-condition": [
        "error",
        { allowConstantLoopConditions: "only-allowed-literals" },
      ],
      "@typescript-eslint/no-unnecessary-type-parameters": "off",
      "@typescript-eslint/require-await": "off",
      "@typescript-eslint/return-await": ["error", "in-try-catch"],
      "@typescript-eslint/unified-signatures": "off",
      "no-restricted-globals": ["error", ...bannedGlobals],
      "no-restricted-properties": ["error", ...bannedProperties],
      "no-restricted-syntax": ["error", ...bannedSyntax],
      "no-restricted-imports": ["error", { paths: bannedImports }],
      eqeqeq: "error",
      "no-console": "error",
      "prefer-const": "error",
    },
  },
  {
    files: adapters,
    rules: {
      "no-restricted-globals": "off",
      "no-restricted-properties": "off",
      "no-restricted-imports": "off",
      "no-console": "off",
    },
  },
  { files: ["**/*.config.ts"], rules: { "no-restricted-syntax": "off" } },
  {
    // A test may say what it knows of an index, and asserts on what is unsafe on purpose.
    files: ["**/*.test.ts"],
    rules: { "@typescript-eslint/no-non-null-assertion": "off", "@typescript-eslint/unbound-method": "off" },
  },
  { files: ["**/*.js", "**/*.mjs"], extends: [tseslint.configs.disableTypeChecked] },
);
