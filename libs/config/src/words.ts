import { isAbsolute, resolve } from "node:path";
import { accepted, type Kind, type Parsed, rejected } from "./kind.ts";

export function boolean(): Kind<boolean> {
  return {
    form: "true or false",
    parse: (text) => {
      const word = text.trim().toLowerCase();
      if (word !== "true" && word !== "false") return rejected("is neither true nor false");
      return accepted(word === "true");
    },
    format: String,
  };
}

/** One of a closed set of words, in the case in which they are given here. */
export function oneOf<const Word extends string>(...words: readonly Word[]): Kind<Word> {
  return {
    form: `one of ${words.join(", ")}`,
    parse: (text) => {
      const word = words.find((candidate) => candidate.toLowerCase() === text.trim().toLowerCase());
      return word === undefined ? rejected("is none of the words it can be") : accepted(word);
    },
    format: (word) => word,
  };
}

/** Text that is not empty. `pattern` is matched against all of it and `form` describes it. */
export function text(of: { readonly pattern?: RegExp; readonly form?: string } = {}): Kind<string> {
  return {
    form: of.form ?? "text that is not empty",
    parse: (value) => {
      if (value.trim() === "") return rejected("is empty");
      if (of.pattern !== undefined && !of.pattern.test(value)) return rejected("does not have that form");
      return accepted(value);
    },
    format: (value) => value,
  };
}

/** A file or directory; a relative one starts from the working directory. The value is absolute. */
export function path(): Kind<string> {
  return {
    form: "a path",
    parse: (value, { baseDirectory }) => {
      if (value.trim() === "") return rejected("is empty");
      if (value.includes("\0")) return rejected("has a NUL character in it");
      return accepted(isAbsolute(value) ? resolve(value) : resolve(baseDirectory, value));
    },
    format: (value) => value,
  };
}

/** Items of one kind, separated by commas. None may stand twice. `min`: fewest items, 0 if not given. */
export function list<Item>(item: Kind<Item>, of: { readonly min?: number } = {}): Kind<readonly Item[]> {
  const min = of.min ?? 0;
  return {
    form: `a list with commas between its items, each ${item.form}`,
    parse: (value, context): Parsed<readonly Item[]> => {
      const pieces = value.trim() === "" ? [] : value.split(",").map((piece) => piece.trim());
      if (pieces.length < min) return rejected(`has fewer than ${min} items`);
      const items: Item[] = [];
      const seen = new Set<string>();
      for (const piece of pieces) {
        const parsed = item.parse(piece, context);
        if (!parsed.ok) return rejected(`has an item "${piece}" that ${parsed.reason}`);
        const canonical = item.format(parsed.value);
        if (seen.has(canonical)) return rejected(`names "${canonical}" twice`);
        seen.add(canonical);
        items.push(parsed.value);
      }
      return accepted(items);
    },
    format: (items) => items.map((each) => item.format(each)).join(","),
  };
}
