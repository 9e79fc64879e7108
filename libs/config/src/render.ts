import { type Config, shownValue } from "./resolve.ts";
import type { Setting, Settings } from "./setting.ts";
import { formatSource } from "./source.ts";

/** One setting, as `tidemark config print` shows it. */
export interface RenderedSetting {
  readonly key: string;
  /** "***" for a secret, "" for one that is not set. */
  readonly value: string;
  /** `default`, `tidemark.yaml:3`, `variable TIDEMARK_LOG_LEVEL`, `flag --log.level`. */
  readonly source: string;
  /** "" where there is none. */
  readonly defaultValue: string;
  readonly doc: string;
}

/** Every setting with its value and where it came from, in the order of the keys. */
export function renderConfig<Of extends Settings>(config: Config<Of>): readonly RenderedSetting[] {
  const settings = Object.entries<Setting<unknown>>(config.schema.settings);
  const values: Readonly<Record<string, unknown>> = config.values;
  const origins = config.origins as Readonly<Record<string, Config<Of>["origins"][keyof Of & string]>>;
  return settings
    .map(([key, setting]) => {
      const origin = origins[key];
      return {
        key,
        value: shownValue(config.schema, key, values[key]),
        source: origin === undefined ? "" : formatSource(origin),
        defaultValue: setting.presence === "defaulted" ? shownValue(config.schema, key, setting.default) : "",
        doc: setting.doc,
      };
    })
    .sort((left, right) => (left.key < right.key ? -1 : 1));
}
