/** What panels and alerts ask Prometheus: whether an expression means what its panel or alert says that it does. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { deploy } from "./manifests.ts";

const read = (...path: readonly string[]) => readFileSync(join(deploy, ...path), "utf8");
const dashboards = join("observability", "grafana", "dashboards");

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly fieldConfig: { readonly defaults: { readonly unit: string } };
  readonly targets: readonly { readonly expr: string; readonly legendFormat: string; readonly exemplar?: boolean }[];
}
const panelsOf = (file: string) =>
  (JSON.parse(read(dashboards, file)) as { panels: readonly (Panel | Omit<Panel, "targets">)[] }).panels;
const drawn = readdirSync(join(deploy, dashboards))
  .flatMap(panelsOf)
  .flatMap((panel) => ("targets" in panel ? [panel] : []));

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
}
const rules = (
  parse(read("observability", "alerts.yaml")) as { groups: readonly { readonly rules: readonly Rule[] }[] }
).groups.flatMap((group) => group.rules);

const prometheus = parse(read("observability", "prometheus.yaml")) as {
  readonly global: { readonly scrape_interval: string; readonly evaluation_interval?: string };
  readonly scrape_configs: readonly { readonly job_name: string }[];
};

function secondsOf(duration: string): number {
  const [, count, unit = ""] = /^(\d+)([smh])$/.exec(duration) ?? [];
  return Number(count) * ({ s: 1, m: 60, h: 3600 }[unit] ?? Number.NaN);
}

/** Each series that an expression reads, with the function right around it and the time that it is read over. */
function readsOf(expression: string) {
  const reads = /(?:(\w+)\()?\b((?:tidemark|process|nodejs)_\w+)(?:\{[^}]*\})?(?:\[([^\]]+)\])?/g;
  return Array.from(expression.matchAll(reads), ([, by = "", name = "", over]) => ({ by, name, over }));
}

/** The quantile that an expression asks for, and the labels by which buckets are summed up for it. */
function quantileOf(expression: string): { readonly quantile: number; readonly labels: readonly string[] } | undefined {
  const [, quantile, labels = ""] =
    /^histogram_quantile\(([\d.]+), sum by \(([\w, ]+)\) \(rate\(\w+_bucket\[/.exec(expression) ?? [];
  return quantile === undefined ? undefined : { quantile: Number(quantile), labels: labels.split(", ") };
}

const queries = [
  ...drawn.flatMap(({ title, targets }) => targets.map(({ expr }) => ({ where: title, expr }))),
  ...rules.map(({ alert, expr }) => ({ where: alert, expr })),
];

test("of what only grows the speed is read, of all else the value", () => {
  const reads = queries.flatMap(({ where, expr }) => readsOf(expr).map((each) => ({ where, ...each })));
  expect(reads.length).toBeGreaterThan(0);
  const wrong = reads.filter(({ by, name, over }) => {
    const grows = /_(?:total|bucket|count|sum)$/.test(name);
    return grows ? over === undefined || !["rate", "increase"].includes(by) : over !== undefined;
  });
  expect(wrong).toEqual([]);
});

test("buckets are read as a quantile, and told apart by their bounds until then", () => {
  const ofBuckets = queries.filter(({ expr }) => expr.includes("_bucket"));
  expect(ofBuckets.length).toBeGreaterThan(0);
  for (const { where, expr } of ofBuckets) expect(quantileOf(expr)?.labels, where).toContain("le");
});

/** What Grafana calls the unit of an expression's values. */
function unitOf(expression: string): string {
  if (quantileOf(expression) !== undefined) return "s";
  const [{ name, over } = { name: "", over: undefined }] = readsOf(expression);
  if (/_bytes(?:_total)?$/.test(name)) return over === undefined ? "bytes" : "Bps";
  // Seconds of a processor by second: cores.
  return over === undefined || /_seconds_total$/.test(name) ? "short" : "ops";
}

describe("a panel", () => {
  test("shows its values in their unit", () => {
    for (const { title, fieldConfig, targets } of drawn)
      for (const { expr } of targets) expect([title, fieldConfig.defaults.unit]).toEqual([title, unitOf(expr)]);
  });

  test("says which quantile it shows", () => {
    for (const { title, targets } of drawn) {
      for (const { expr, legendFormat } of targets) {
        const found = quantileOf(expr);
        if (found !== undefined) expect(`${title} ${legendFormat}`).toContain(`p${found.quantile * 100}`);
      }
    }
  });

  test("of produces or fetches shows their traces", () => {
    const traced = drawn
      .flatMap(({ targets }) => targets)
      .filter(({ expr }) => /tidemark_(?:produce|fetch)_duration_seconds_bucket/.test(expr));
    expect(traced.length).toBeGreaterThan(0);
    expect(traced.filter(({ exemplar }) => exemplar !== true)).toEqual([]);
  });

  test("has a number of its own", () => {
    for (const file of readdirSync(join(deploy, dashboards))) {
      const ids = panelsOf(file).map(({ id }) => id);
      expect(new Set(ids).size).toBe(ids.length);
    }
  });
});

describe("an alert", () => {
  test("is looked at as often as the test that raises it does, and more often than it has to last", () => {
    const { evaluation_interval: interval = "1m" } = prometheus.global;
    const tried = parse(read("interop", "alerts.yaml")) as { readonly evaluation_interval: string };
    expect(interval).toBe(tried.evaluation_interval);
    for (const { alert, for: lasting } of rules)
      if (lasting !== undefined) expect(secondsOf(lasting), alert).toBeGreaterThanOrEqual(2 * secondsOf(interval));
  });

  test("looks over a time that holds several values", () => {
    const interval = secondsOf(prometheus.global.scrape_interval);
    // What Grafana takes it for: `$__rate_interval` is four of these.
    expect(interval).toBeLessThanOrEqual(15);
    for (const { alert, expr } of rules)
      for (const { over } of readsOf(expr))
        if (over !== undefined) expect(secondsOf(over), alert).toBeGreaterThanOrEqual(4 * interval);
  });

  test("asks for jobs that there are, and says how urgent it is", () => {
    const jobs = prometheus.scrape_configs.map((job) => job.job_name);
    expect(rules.some(({ expr }) => expr.includes("job="))).toBe(true);
    for (const { alert, expr, labels } of rules) {
      for (const [, job] of expr.matchAll(/\bjob="([^"]*)"/g)) expect(jobs).toContain(job);
      expect(["critical", "warning"], alert).toContain(labels.severity);
    }
  });
});
