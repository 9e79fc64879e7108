import type { Kind } from "./kind.ts";

interface SettingBase<Value> {
  readonly kind: Kind<Value>;
  /** A sentence or two for the reference: what it decides, and what an absent value means. */
  readonly doc: string;
  /** A secret: never shown, neither in the printed configuration nor in a message. */
  readonly sensitive: boolean;
}

export interface DefaultedSetting<Value> extends SettingBase<Value> {
  readonly presence: "defaulted";
  readonly default: Value;
}

export interface RequiredSetting<Value> extends SettingBase<Value> {
  readonly presence: "required";
}

export interface OptionalSetting<Value> extends SettingBase<Value> {
  readonly presence: "optional";
}

export type Setting<Value> = DefaultedSetting<Value> | RequiredSetting<Value> | OptionalSetting<Value>;

/** Settings by key. Keys are lower-case words and digits with dots between them, so that variables map back to them. */
export type Settings = Readonly<Record<string, Setting<unknown>>>;

/** The typed values of settings: undefined exactly where a setting is optional. */
export type Values<Of extends Settings> = {
  readonly [Key in keyof Of]: Of[Key] extends OptionalSetting<infer Value>
    ? Value | undefined
    : Of[Key] extends DefaultedSetting<infer Value> | RequiredSetting<infer Value>
      ? Value
      : never;
};

export function defaulted<Value>(kind: Kind<Value>, value: Value, doc: string): DefaultedSetting<Value> {
  return { presence: "defaulted", kind, default: value, doc, sensitive: false };
}

export function required<Value>(kind: Kind<Value>, doc: string): RequiredSetting<Value> {
  return { presence: "required", kind, doc, sensitive: false };
}

export function optional<Value>(kind: Kind<Value>, doc: string): OptionalSetting<Value> {
  return { presence: "optional", kind, doc, sensitive: false };
}

export function secret<Of extends Setting<unknown>>(setting: Of): Of {
  return { ...setting, sensitive: true };
}
