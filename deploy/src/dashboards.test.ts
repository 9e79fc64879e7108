import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { metricNames } from "@tidemark/telemetry";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { deploy } from "./manifests.ts";

const known = new Set<string>(Object.values(metricNames));
const histograms = [...known].filter((name) => name.endsWith("_seconds"));
const series = new Set([...known, ...histograms.flatMap((name) => [`${name}_bucket`, `${name}_count`, `${name}_sum`])]);

/** The metrics that an expression of PromQL reads. */
function metricsIn(expression: string): readonly string[] {
  return expression.match(/\b(?:tidemark|process|nodejs)_\w+/g) ?? [];
}

const observability = join(deploy, "observability");
const dashboards = readdirSync(join(observability, "grafana", "dashboards"));

describe.each(dashboards)("the dashboard %s", (file) => {
  const { panels } = JSON.parse(readFileSync(join(observability, "grafana", "dashboards", file), "utf8")) as {
    panels: { title: string; targets?: { expr: string }[] }[];
  };

  test("shows metrics that there are", () => {
    const used = panels.flatMap(({ targets = [] }) => targets.flatMap(({ expr }) => metricsIn(expr)));
    expect(used.length).toBeGreaterThan(0);
    expect(used.filter((metric) => !series.has(metric))).toEqual([]);
  });

  test("shows every metric of the suite", () => {
    const text = JSON.stringify(panels);
    expect([...known].filter((name) => name.startsWith("tidemark_") && !text.includes(name))).toEqual([]);
  });
});

test("alerts watch metrics that there are, and say what to do", () => {
  const { groups } = parse(readFileSync(join(observability, "alerts.yaml"), "utf8")) as {
    groups: { rules: { alert: string; expr: string; annotations: { summary: string; description: string } }[] }[];
  };
  const rules = groups.flatMap(({ rules: of }) => of);
  expect(rules.length).toBeGreaterThan(0);
  for (const { alert, expr, annotations } of rules) {
    const metrics = metricsIn(expr);
    expect(
      metrics.filter((metric) => !series.has(metric)),
      alert,
    ).toEqual([]);
    expect(metrics.length + Number(expr.startsWith("up{")), alert).toBeGreaterThan(0);
    expect(annotations.description.length, alert).toBeGreaterThan(20);
  }
});
