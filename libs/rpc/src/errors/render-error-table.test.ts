import { ReasonSchema } from "@tidemark/proto/common/v1";
import { expect, it } from "vitest";
import { renderErrorTable } from "./render-error-table.ts";

it("keeps docs/errors.md as the table and the protos have it (npm run fix writes it anew)", async () => {
  await expect(renderErrorTable()).toMatchFileSnapshot("../../../../docs/errors.md");
});

it("says of every reason what causes it and what to do", () => {
  const rows = renderErrorTable()
    .split("\n")
    .filter((line) => line.startsWith("| `REASON_"));
  expect(rows).toHaveLength(ReasonSchema.values.length);
  for (const row of rows) expect(row).toMatch(/^\| `REASON_\w+` \| [A-Z_]+ \| (yes|no) \| \w+ \| \S.*[.] \|$/);
});
